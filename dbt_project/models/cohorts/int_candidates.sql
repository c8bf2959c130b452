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
    select distinct on (due.run_id, due.campaign, due.step, due.as_of, due.contact_id)
        due.*,
        windows.step_keys,
        case
            when windows.is_simulated or windows.mode = 'live' then 'live'
            when windows.mode = 'allowlist' and due.contact_id = any(windows.allowlist) then 'allowlist'
            else 'shadow'
        end as mode
    from due
    inner join windows
        on
            windows.run_id = due.run_id
            and windows.campaign = due.campaign
            and windows.step = due.step
            and windows.as_of = due.as_of
    order by due.run_id, due.campaign, due.step, due.as_of, due.contact_id, due.episode_on desc, due.due_on desc
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
    from newest
    where
        -- Settled: there is a message for the episode, or a decision that was not a hold. What a shadow decided settles the shadow only.
        not exists (
            select 1
            from {{ ref('stg_outbox__messages') }} as messages
            where
                messages.campaign = newest.campaign
                and messages.contact_id = newest.contact_id
                and messages.episode_on = newest.episode_on
                and messages.step = any(newest.step_keys)
                and messages.run_id <> newest.run_id
        )
        and not exists (
            select 1
            from {{ ref('stg_outbox__decisions') }} as decisions
            where
                decisions.campaign = newest.campaign
                and decisions.contact_id = newest.contact_id
                and decisions.episode_on = newest.episode_on
                and decisions.step = any(newest.step_keys)
                and decisions.run_id <> newest.run_id
                and decisions.decision <> 'hold'
                and (decisions.mode = 'shadow') = (newest.mode = 'shadow')
        )
)

select * from final
