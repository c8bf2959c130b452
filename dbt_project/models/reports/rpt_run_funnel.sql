-- A day that was run again decides anew whoever was put off, so the decision that sends counts, otherwise the newest.
with decisions as (
    select
        decision.*,
        not exists (
            select 1
            from {{ source('outbox', 'decision') }} as other
            where
                other.contact_id = decision.contact_id
                and other.campaign = decision.campaign
                and other.step = decision.step
                and other.as_of = decision.as_of
                and (other.decision = 'send', other.archived_at, other.run_id)
                > (decision.decision = 'send', decision.archived_at, decision.run_id)
        ) as is_standing
    from {{ source('outbox', 'decision') }} as decision
),

final as (
    select
        run_id,
        campaign,
        step,
        decision,
        reason,
        mode,
        count(*) as contacts,
        count(*) filter (where is_standing) as standing_contacts,
        as_of
    from decisions
    group by run_id, campaign, step, decision, reason, mode, as_of
)

select * from final
