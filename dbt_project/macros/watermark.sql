{# What changed in a source since the last build, by `updated_at`: an index range. Its start lies a little behind the newest row that is there
   (rows are committed late), and never after the last day that was run before (days may be run out of order, and simulated ones know
   their future). `built`: the relation that holds what was taken before, none at a first build, which takes everything.
   The start is looked up first and written into the statement: of a literal the planner knows how few rows lie after it. #}
{% macro changed_since(updated_at, built, built_updated_at) -%}
    {%- if not built or not execute -%}
    true
    {%- else -%}
    {%- set found = run_query(
        "select coalesce(least((select max(built." ~ built_updated_at ~ ") from " ~ built ~ " as built) - interval '"
        ~ var('lookback') ~ "', (select min(" ~ day_start('coalesce(previous_as_of, as_of - 1)', 'timezone') ~ ") from "
        ~ ref('int_run_days') ~ ")), '-infinity')::text"
    ) -%}
    {{ updated_at }} > '{{ found.columns[0].values()[0] }}'::timestamptz
    {%- endif -%}
{%- endmacro %}

{# The present of the run being built; without a run, the end of time. #}
{% macro run_clock() -%}
    coalesce((select runs.clock from {{ ref('int_runs') }} as runs), 'infinity'::timestamptz)
{%- endmacro %}
