with decisions as (
    select * from {{ source('outbox', 'decision') }}
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
        as_of
    from decisions
    group by run_id, campaign, step, decision, reason, mode, as_of
)

select * from final
