{# Numbers in sentences for people. #}

{# `1 code`, `2,500 codes`: a count with its noun. #}
{% macro counted(number, one, many) -%}
case {{ number }} when 1 then '1 {{ one }}' else to_char({{ number }}, 'FM999,999,999,990') || ' {{ many }}' end
{%- endmacro %}

{# How many a day, no finer than it means something: `16`, `5.7`; under a tenth of one, in words. As reports/render.py has it. #}
{% macro daily_pace(number) -%}
case
    when {{ number }} < 0.1 then 'fewer than one is used in ten days'
    when {{ number }} = 1 then 'about 1 is used a day'
    when {{ number }} >= 10 then 'about ' || to_char({{ number }}, 'FM999,999,999,990') || ' are used a day'
    else 'about ' || regexp_replace(round({{ number }}, 1)::text, '[.]0$', '') || ' are used a day'
end
{%- endmacro %}
