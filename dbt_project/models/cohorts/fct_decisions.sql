{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[
        {'columns': ['contact_id', 'campaign', 'step', 'as_of', 'run_id'], 'unique': true},
        {'columns': ['run_id']},
        {'columns': ['as_of']},
        {'columns': ['is_archived']},
    ],
    pre_hook="{% if is_incremental() %}delete from {{ this }} where not is_archived{% endif %}",
) }}

-- The run being built, as it decides now; every run that was enqueued, as the ledger archived it: a past decision is read, never
-- computed again. What an earlier build proposed and nobody enqueued is gone by now.
with proposed as (
    select * from {{ ref('int_decisions') }}
),

runs as (
    select * from {{ ref('stg_outbox__runs') }}
),

archive as (
    select * from {{ ref('stg_outbox__decisions') }}
),

missing_runs as (
    select run_id
    from runs
    where
        state = 'enqueued'
        {%- if is_incremental() %}
        and not exists (select 1 from {{ this }} as kept where kept.run_id = runs.run_id)
        {%- endif %}
),

current_decisions as (
    select
        run_id,
        as_of,
        contact_id,
        campaign,
        step,
        episode_on,
        due_on,
        mode,
        decision,
        reasons[1] as reason,
        reasons,
        variant,
        seen,
        definition_hash,
        false as is_archived
    from proposed
    where not exists (select 1 from runs where runs.run_id = proposed.run_id and runs.state = 'enqueued')
),

archived_decisions as (
    select
        archive.run_id,
        archive.as_of,
        archive.contact_id,
        archive.campaign,
        archive.step,
        archive.episode_on,
        archive.due_on,
        archive.mode,
        archive.decision,
        archive.reason,
        archive.reasons,
        archive.variant,
        archive.seen,
        archive.definition_hash,
        true as is_archived
    from missing_runs
    inner join archive on archive.run_id = missing_runs.run_id
),

final as (
    select * from current_decisions
    union all
    select * from archived_decisions
)

select * from final
