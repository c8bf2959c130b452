with messages as (
    select * from {{ ref('rpt_messages') }}
    where state = 'accepted'
),

final as (
    select
        run_id,
        campaign,
        step,
        channel,
        count(*) as accepted,
        count(delivered_at) as delivered,
        count(opened_at) as opened,
        count(*) filter (where machine_opened_at is not null and opened_at is null) as opened_by_machine_only,
        count(clicked_at) as clicked,
        count(bounced_at) as bounced,
        count(unsubscribed_at) as unsubscribed,
        count(complained_at) as complained,
        as_of
    from messages
    group by run_id, campaign, step, channel, as_of
)

select * from final
