with decisions as (
    select * from {{ ref('int_reports__decisions') }}
    where is_standing
),

final as (
    select
        campaign,
        step,
        decision,
        reason,
        count(*) as contacts,
        as_of
    from decisions
    group by campaign, step, decision, reason, as_of
)

select * from final
