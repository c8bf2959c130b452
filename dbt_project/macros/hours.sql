{# The first moment on or after `send_at` of a day, in a zone, that lies within the hours [opens, closes) of a channel; null hours: any
   time. Hours that span midnight are left to the claim, which looks again. #}
{% macro first_open(day, send_at, opens, closes, zone) -%}
    case
        when {{ opens }} is null or {{ closes }} is null or {{ opens }} >= {{ closes }} then {{ day }} + {{ send_at }}
        when {{ send_at }} >= {{ closes }} then {{ day }} + 1 + {{ opens }}
        else {{ day }} + greatest({{ send_at }}, {{ opens }})
    end at time zone {{ zone }}
{%- endmacro %}
