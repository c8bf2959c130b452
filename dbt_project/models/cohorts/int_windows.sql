{{ config(materialized='table', post_hook='analyze {{ this }}') }}

-- When a clock must have started, or an event happened, for a step to be due in the days that are looked at.
with days as (
    select * from {{ ref('int_run_days') }}
),

steps as (
    select * from {{ ref('int_campaign_steps') }}
),

final as (
    select
        row_number() over (order by days.run_id, days.as_of, days.campaign, steps.position, steps.step) as window_no,
        days.run_id,
        days.campaign,
        steps.step,
        steps.step_keys,
        steps.trigger,
        steps.campaign_clock,
        parents.step_keys as parent_step_keys,
        case when steps.event = 'opened' then array['opened', 'clicked'] else array[steps.event] end as event_kinds,
        coalesce(steps.after_days, steps.wait_days) as wait_days,
        steps.step_days,
        days.is_simulated,
        days.mode,
        days.allowlist,
        days.timezone,
        days.as_of,
        days.first_due_on - coalesce(steps.after_days, steps.wait_days) - days.max_late_days - 1 as oldest_parent_as_of,
        {{ day_start('days.first_due_on - coalesce(steps.after_days, steps.wait_days)', 'days.timezone') }} as opens_at,
        least(
            {{ day_start('days.as_of - coalesce(steps.after_days, steps.wait_days) + 1', 'days.timezone') }}, days.clock
        ) as closes_at
    from days
    inner join steps on steps.run_id = days.run_id and steps.campaign = days.campaign
    left join steps as parents
        on parents.run_id = steps.run_id and parents.campaign = steps.campaign and parents.step = steps.after_step
)

select * from final
