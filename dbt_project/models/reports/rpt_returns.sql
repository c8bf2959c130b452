with messages as (
    select * from {{ ref('rpt_messages') }}
    where state = 'accepted'
),

return_orders as (
    select * from {{ ref('rpt_return_orders') }}
),

per_message as (
    select
        message_id,
        run_id,
        as_of,
        count(*) as orders,
        count(*) filter (where is_attributed) as attributed_orders,
        count(*) filter (where has_used_code) as code_orders,
        bool_or(is_first) as has_come_back
    from return_orders
    group by message_id, run_id, as_of
),

final as (
    select
        messages.run_id,
        messages.campaign,
        messages.step,
        messages.channel,
        count(distinct messages.contact_id) filter (where messages.is_reached) as people_reached,
        count(distinct messages.contact_id) filter (where per_message.has_come_back) as people_came_back,
        count(distinct messages.contact_id) filter (where per_message.attributed_orders > 0) as people_attributed,
        coalesce(sum(per_message.orders), 0)::bigint as orders,
        coalesce(sum(per_message.attributed_orders), 0)::bigint as attributed_orders,
        coalesce(sum(per_message.code_orders), 0)::bigint as code_orders,
        messages.as_of
    from messages
    left join per_message
        on
            per_message.message_id = messages.message_id
            and per_message.run_id = messages.run_id
            and per_message.as_of = messages.as_of
    group by messages.run_id, messages.campaign, messages.step, messages.channel, messages.as_of
)

select * from final
