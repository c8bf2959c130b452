{# The earliest day of a run that may still have had a message accepted lately. A message waits as long as the most patient of the campaigns
   says (max_late_days), through its last day, and three days more for zones and days that were run late. For sources: read by live views. #}
{% macro oldest_recent_run() -%}
    (
        (select max(days.as_of) from {{ source('outbox', 'run_day') }} as days)
        - (
            select coalesce(max((definitions.body ->> 'max_late_days')::integer), 0) + 4
            from {{ source('outbox', 'definition') }} as definitions
            where definitions.kind = 'campaign'
        )
    )
{%- endmacro %}
