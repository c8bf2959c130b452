with messages as (
    select * from {{ ref('rpt_messages') }}
    where state = 'accepted'
),

return_orders as (
    select * from {{ ref('rpt_return_orders') }}
),

reached_and_returned as (
    select
        run_id,
        campaign,
        step,
        channel,
        contact_id,
        null::text as order_id,
        is_reached,
        false as is_first,
        false as is_attributed,
        false as has_used_code,
        as_of
    from messages

    union all

    select
        run_id,
        campaign,
        step,
        channel,
        contact_id,
        order_id,
        false as is_reached,
        is_first,
        is_attributed,
        has_used_code,
        as_of
    from return_orders
),

final as (
    select
        run_id,
        campaign,
        step,
        channel,
        count(distinct contact_id) filter (where is_reached) as people_reached,
        count(distinct contact_id) filter (where is_first) as people_came_back,
        count(distinct contact_id) filter (where is_attributed) as people_attributed,
        count(order_id) as orders,
        count(order_id) filter (where is_attributed) as attributed_orders,
        count(order_id) filter (where has_used_code) as code_orders,
        as_of
    from reached_and_returned
    group by run_id, campaign, step, channel, as_of
)

select * from final
