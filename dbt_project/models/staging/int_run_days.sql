{{ config(materialized='table', post_hook='analyze {{ this }}') }}

with runs as (
    select * from {{ ref('int_runs') }}
),

days as (
    select * from {{ ref('stg_outbox__run_days') }}
),

definitions as (
    select * from {{ ref('stg_outbox__definitions') }}
),

campaigns as (
    select
        runs.run_id,
        runs.is_simulated,
        listed.campaign,
        definitions.definition_hash,
        definitions.body
    from runs
    inner join definitions as bundles on bundles.definition_hash = runs.bundle_hash
    cross join lateral jsonb_each_text(bundles.body -> 'campaigns') as listed (campaign, definition_hash)
    inner join definitions on definitions.definition_hash = listed.definition_hash
),

parameters as (
    select
        campaigns.run_id,
        campaigns.campaign,
        campaigns.definition_hash,
        campaigns.is_simulated,
        days.as_of,
        days.clock,
        campaigns.body ->> 'timezone' as timezone,
        campaigns.body ->> 'mode' as mode,
        array(select jsonb_array_elements_text(campaigns.body -> 'allowlist')) as allowlist,
        array(select jsonb_array_elements_text(campaigns.body -> 'cancelled_by')) as cancelled_by,
        (campaigns.body ->> 'live_from')::date as live_from,
        (campaigns.body ->> 'send_at')::time as send_at,
        (campaigns.body ->> 'max_late_days')::integer as max_late_days,
        (campaigns.body ->> 'priority')::integer as priority,
        (campaigns.body ->> 'holdout_percent')::numeric as holdout_percent,
        (campaigns.body #>> '{caps,per_day}')::integer as cap_per_day,
        (campaigns.body #>> '{caps,per_7_days}')::integer as cap_per_7_days
    from campaigns
    inner join days on days.run_id = campaigns.run_id
),

-- The last day before that this campaign was decided for: what fell out of its window since then is too late, and said to be.
with_previous as (
    select
        parameters.*,
        (
            select max(earlier.as_of)
            from {{ ref('stg_outbox__run_days') }} as earlier
            inner join {{ ref('stg_outbox__runs') }} as earlier_runs on earlier_runs.run_id = earlier.run_id
            inner join definitions as bundles on bundles.definition_hash = earlier_runs.definition_hash
            where
                earlier.as_of < parameters.as_of
                and earlier.as_of >= parameters.as_of - {{ var('late_days_counted') }}
                and (earlier_runs.state = 'enqueued' or earlier_runs.run_id = parameters.run_id)
                and bundles.body -> 'campaigns' ? parameters.campaign
        ) as previous_as_of
    from parameters
),

final as (
    select
        run_id,
        campaign,
        definition_hash,
        is_simulated,
        mode,
        allowlist,
        cancelled_by,
        timezone,
        send_at,
        max_late_days,
        priority,
        holdout_percent,
        cap_per_day,
        cap_per_7_days,
        as_of,
        live_from,
        previous_as_of,
        coalesce(previous_as_of, as_of) - max_late_days as first_due_on,
        {{ day_start('as_of', 'timezone') }} as day_start,
        {{ day_start('as_of + 1', 'timezone') }} as day_end,
        clock
    from with_previous
)

select * from final
