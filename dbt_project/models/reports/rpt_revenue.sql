with return_orders as (
    select * from {{ ref('rpt_return_orders') }}
),

final as (
    select
        run_id,
        campaign,
        step,
        channel,
        currency,
        count(*) as orders,
        count(*) filter (where is_attributed) as attributed_orders,
        sum(refunded)::numeric(38, 4) as refunded,
        sum(revenue)::numeric(38, 4) as revenue,
        coalesce(sum(revenue) filter (where is_attributed), 0)::numeric(38, 4) as attributed_revenue,
        as_of
    from return_orders
    group by run_id, campaign, step, channel, currency, as_of
)

select * from final
