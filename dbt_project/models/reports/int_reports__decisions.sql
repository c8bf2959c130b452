{{ config(materialized='ephemeral') }}

-- A day that was run again decides everybody again (already_messaged): the decision that sent stands, else the newest.
with decisions as (
    select * from {{ source('outbox', 'decision') }}
),

final as (
    select
        run_id,
        contact_id,
        campaign,
        step,
        mode,
        decision,
        reason,
        reasons,
        variant,
        seen,
        definition_hash,
        as_of,
        due_on,
        episode_on,
        archived_at,
        row_number() over (
            partition by contact_id, campaign, step, as_of
            order by decision = 'send' desc, archived_at desc, run_id
        ) = 1 as is_standing
    from decisions
)

select * from final
