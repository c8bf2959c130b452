{{ config(materialized='ephemeral') }}

-- A message of the earlier step was accepted (event accepted), or a person did something with it for the first time.
with windows as (
    select * from {{ ref('int_windows') }}
    where trigger = 'event'
),

reactions as (
    select
        windows.window_no,
        windows.timezone,
        windows.wait_days,
        windows.opens_at,
        windows.event_kinds,
        messages.contact_id,
        messages.message_id,
        messages.episode_on,
        min(engagements.occurred_at) as occurred_at
    from windows
    inner join {{ ref('stg_events__engagement_events') }} as engagements
        on engagements.occurred_at >= windows.opens_at and engagements.occurred_at < windows.closes_at
    inner join {{ ref('stg_outbox__messages') }} as messages on messages.message_id = engagements.message_id
    where
        engagements.kind = any(windows.event_kinds)
        and {{ is_human('engagements') }}
        and messages.state = 'accepted'
        and messages.campaign = windows.campaign
        and messages.step = any(windows.parent_step_keys)
    group by
        windows.window_no, windows.timezone, windows.wait_days, windows.opens_at, windows.event_kinds,
        messages.contact_id, messages.message_id, messages.episode_on
),

first_reactions as (
    select
        window_no,
        contact_id,
        message_id,
        episode_on,
        timezone,
        wait_days,
        occurred_at
    from reactions
    where
        not exists (
            select 1
            from {{ ref('stg_events__engagement_events') }} as engagements
            where
                engagements.message_id = reactions.message_id
                and engagements.occurred_at < reactions.opens_at
                and engagements.kind = any(reactions.event_kinds)
                and {{ is_human('engagements') }}
        )
),

accepted as (
    select
        windows.window_no,
        messages.contact_id,
        messages.message_id,
        messages.episode_on,
        windows.timezone,
        windows.wait_days,
        messages.accepted_at as occurred_at
    from windows
    inner join {{ ref('stg_outbox__messages') }} as messages
        on messages.as_of >= windows.oldest_parent_as_of and messages.as_of <= windows.as_of
    where
        'accepted' = any(windows.event_kinds)
        and messages.state = 'accepted'
        and messages.campaign = windows.campaign
        and messages.step = any(windows.parent_step_keys)
        and messages.accepted_at >= windows.opens_at
        and messages.accepted_at < windows.closes_at
),

events as (
    select * from first_reactions
    union all
    select * from accepted
),

final as (
    select
        window_no,
        contact_id,
        message_id as parent_message_id,
        episode_on,
        (occurred_at at time zone timezone)::date + wait_days as due_on,
        occurred_at as started_at
    from events
)

select * from final
