{# When a calendar day begins in a zone: its first moment. Where clocks go back over midnight (Havana in November, the Azores in October) a day
   has two midnights, and PostgreSQL takes the second; where they go forward at midnight (Havana in March) it begins at 01:00. Where
   midnight comes twice it does so within an hour, but at Casey in the Antarctic. As local_time() of warehouse/clock.py has it for Python. #}
{% macro day_start(day, zone) -%}
    {%- set midnight = '(' ~ day ~ ')::timestamp at time zone ' ~ zone -%}
    ({{ midnight }} - case
        when (({{ midnight }} - interval '1 hour') at time zone {{ zone }})::date = {{ day }} then interval '1 hour'
        else interval '0'
    end)
{%- endmacro %}
