{{ config(materialized='table', indexes=[{'columns': ['contact_id']}], post_hook='analyze {{ this }}') }}

-- Whose step is due, by its trigger alone, less those whose episode is settled. No campaign or step is known here by name.
with windows as (
    select * from {{ ref('int_windows') }}
),

due as (
    select * from {{ ref('int_due_by_purchase') }}
    union all
    select * from {{ ref('int_due_by_activity') }}
    union all
    select * from {{ ref('int_due_by_event') }}
),

-- Of two episodes of one contact the newer counts: its purchase ended the older one.
newest as (
    select distinct on (window_no, contact_id) *
    from due
    order by window_no, contact_id, episode_on desc, due_on desc
),

in_window as (
    select
        windows.run_id,
        windows.campaign,
        windows.step,
        windows.step_keys,
        windows.as_of,
        newest.contact_id,
        newest.parent_message_id,
        newest.episode_on,
        newest.due_on,
        newest.started_at,
        case
            when windows.is_simulated or windows.mode = 'live' then 'live'
            when windows.mode = 'allowlist' and newest.contact_id = any(windows.allowlist) then 'allowlist'
            else 'shadow'
        end as mode
    from newest
    inner join windows on windows.window_no = newest.window_no
),

final as (
    select
        run_id,
        campaign,
        step,
        contact_id,
        mode,
        parent_message_id,
        as_of,
        episode_on,
        due_on,
        started_at
    from in_window
    where
        -- Settled: there is a message for the episode, or a decision that was not a hold. What a shadow decided settles the shadow only.
        not exists (
            select 1
            from {{ ref('stg_outbox__messages') }} as messages
            where
                messages.campaign = in_window.campaign
                and messages.contact_id = in_window.contact_id
                and messages.episode_on = in_window.episode_on
                and messages.step = any(in_window.step_keys)
                and messages.run_id <> in_window.run_id
        )
        and not exists (
            select 1
            from {{ ref('stg_outbox__decisions') }} as decisions
            where
                decisions.campaign = in_window.campaign
                and decisions.contact_id = in_window.contact_id
                and decisions.episode_on = in_window.episode_on
                and decisions.step = any(in_window.step_keys)
                and decisions.run_id <> in_window.run_id
                and decisions.decision <> 'hold'
                and (decisions.mode = 'shadow') = (in_window.mode = 'shadow')
        )
)

select * from final
