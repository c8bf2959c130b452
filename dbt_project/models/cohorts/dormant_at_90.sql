{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of', 'contact_id'], 'unique': true}, {'columns': ['contact_id']}],
    pre_hook='{{ forget_run_days() }}',
) }}

{{ dormant_at(90) }}
