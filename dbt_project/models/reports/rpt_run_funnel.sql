with decisions as (
    select * from {{ ref('rpt_decisions') }}
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
