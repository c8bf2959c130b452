with runs as (
    select * from {{ ref('rpt_run_funnel') }}
),

final as (
    select
        campaign,
        step,
        decision,
        reason,
        sum(standing_contacts)::bigint as contacts,
        as_of
    from runs
    group by campaign, step, decision, reason, as_of
    having sum(standing_contacts) > 0
)

select * from final
