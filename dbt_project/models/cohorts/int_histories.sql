{{ config(materialized='table', post_hook='analyze {{ this }}') }}

-- What the person did, and what reached them, up to the day's clock; one look-up per contact of the person, never a join over a history.
with candidates as (
    select * from {{ ref('int_candidates') }}
),

days as (
    select * from {{ ref('int_run_days') }}
),

steps as (
    select * from {{ ref('int_campaign_steps') }}
),

due as (
    select
        candidates.run_id,
        candidates.campaign,
        candidates.step,
        candidates.as_of,
        candidates.contact_id,
        candidates.episode_on,
        steps.step_keys,
        steps.step_days,
        days.cancelled_by,
        days.day_start,
        days.day_end,
        days.clock,
        {{ day_start('days.as_of - 6', 'days.timezone') }} as week_start,
        {{ day_start('days.as_of - steps.no_purchase_days', 'days.timezone') }} as no_purchase_since,
        {{ day_start('candidates.episode_on + 1', 'days.timezone') }} as episode_ended_at
    from candidates
    inner join days
        on days.run_id = candidates.run_id and days.campaign = candidates.campaign and days.as_of = candidates.as_of
    inner join steps
        on steps.run_id = candidates.run_id and steps.campaign = candidates.campaign and steps.step = candidates.step
),

by_member as (
    select
        due.run_id,
        due.campaign,
        due.step,
        due.as_of,
        due.contact_id,
        members.person_id,
        members.person_contacts,
        members.member_contact_id,
        (
            select min(orders.ordered_at)
            from {{ ref('stg_raw__orders') }} as orders
            where
                orders.contact_id = members.member_contact_id
                -- Null where neither rule applies: then nothing is found.
                and orders.ordered_at >= least(
                    case when 'purchase' = any(due.cancelled_by) then due.episode_ended_at end,
                    due.no_purchase_since
                )
                and orders.ordered_at < due.clock
                and {{ is_purchase('orders') }}
        ) as purchased_at,
        case
            when 'activity' = any(due.cancelled_by)
                then {{ last_activity_at('members.member_contact_id', 'due.clock', since='due.episode_ended_at') }}
        end as active_at,
        (
            select max(orders.ordered_at)
            from {{ ref('stg_raw__orders') }} as orders
            where
                orders.contact_id = members.member_contact_id
                and members.member_contact_id = due.contact_id
                and orders.ordered_at < due.clock
                and {{ is_purchase('orders') }}
        ) as last_purchase_at,
        exists (
            select 1
            from {{ ref('stg_outbox__messages') }} as messages
            where
                messages.contact_id = members.member_contact_id
                and messages.campaign = due.campaign
                and messages.step = any(due.step_keys)
                and messages.episode_on < due.episode_on + due.step_days
                and messages.episode_on + messages.step_days > due.episode_on
                and messages.state not in ('skipped', 'expired', 'rejected')
                and messages.run_id <> due.run_id
        ) or exists (
            select 1
            from {{ ref('stg_outbox__imported_sends') }} as imported
            where
                imported.contact_id = members.member_contact_id
                and imported.campaign = due.campaign
                and imported.step = any(due.step_keys)
                and imported.episode_on < due.episode_on + due.step_days
                and imported.episode_on + imported.step_days > due.episode_on
        ) as is_messaged,
        sent.touches_today,
        sent.touches_7_days,
        mass.touches_today as mass_touches_today,
        mass.touches_7_days as mass_touches_7_days
    from due
    inner join {{ ref('int_person_members') }} as members on members.contact_id = due.contact_id
    -- A message that still waits goes out today.
    cross join lateral (
        select
            count(*) filter (where touches.touched_at >= due.day_start) as touches_today,
            count(*) as touches_7_days
        from (
            select
                case
                    when messages.state = 'planned' then greatest(messages.not_before, due.clock)
                    else coalesce(messages.accepted_at, greatest(messages.not_before, messages.planned_at))
                end as touched_at
            from {{ ref('stg_outbox__messages') }} as messages
            where
                messages.contact_id = members.member_contact_id
                and messages.state not in ('skipped', 'expired', 'rejected')
                and not (messages.state = 'planned' and messages.not_after < due.clock)
                and messages.run_id <> due.run_id
            offset 0
        ) as touches
        where touches.touched_at >= due.week_start and touches.touched_at < due.day_end
    ) as sent
    cross join lateral (
        select
            count(*) filter (where sends.sent_at >= due.day_start) as touches_today,
            count(*) as touches_7_days
        from {{ ref('stg_raw__campaign_sends') }} as sends
        where
            sends.contact_id = members.member_contact_id
            and sends.sent_at >= due.week_start
            and sends.sent_at < due.day_end
    ) as mass
),

final as (
    select
        run_id,
        campaign,
        step,
        contact_id,
        person_id,
        person_contacts,
        bool_or(is_messaged) as is_messaged,
        sum(touches_today + mass_touches_today)::integer as touches_today,
        sum(touches_7_days + mass_touches_7_days)::integer as touches_7_days,
        as_of,
        min(purchased_at) as purchased_since_at,
        max(active_at) as active_since_at,
        max(last_purchase_at) as last_purchase_at
    from by_member
    group by run_id, campaign, step, as_of, contact_id, person_id, person_contacts
)

select * from final
