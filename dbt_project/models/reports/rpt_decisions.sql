-- A day that was run again decides anew whoever was put off, so the decision that sends counts, otherwise the newest.
with decisions as (
    select * from {{ source('outbox', 'decision') }}
),

final as (
    select
        decisions.run_id,
        decisions.contact_id,
        decisions.campaign,
        decisions.step,
        decisions.mode,
        decisions.decision,
        decisions.reason,
        decisions.reasons,
        decisions.variant,
        decisions.seen,
        decisions.definition_hash,
        not exists (
            select 1
            from {{ source('outbox', 'decision') }} as others
            where
                others.contact_id = decisions.contact_id
                and others.campaign = decisions.campaign
                and others.step = decisions.step
                and others.as_of = decisions.as_of
                and (others.decision = 'send', others.archived_at, others.run_id)
                > (decisions.decision = 'send', decisions.archived_at, decisions.run_id)
        ) as is_standing,
        decisions.as_of,
        decisions.due_on,
        decisions.episode_on,
        decisions.archived_at
    from decisions
)

select * from final
