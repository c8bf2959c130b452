{{ config(materialized='ephemeral') }}

-- Orders are looked up by the contact of an accepted message; the order history is never read as a whole.
with messages as (
    select * from {{ ref('int_reports__messages') }}
    where is_reached
),

clock as (
    select * from {{ ref('int_reports__clock') }}
),

orders_after as (
    select
        messages.*,
        orders.order_id,
        orders.ordered_at,
        orders.currency,
        orders.total,
        case
            when orders.updated_at > clock.reporting_at then 0
            when orders.status = 'refunded' then coalesce(orders.refunded_total, orders.total)
            else coalesce(orders.refunded_total, 0)
        end as refunded,
        orders.coupon_code = messages.coupon_code as has_used_code,
        clicks.clicked_at as last_clicked_at,
        opens.opened_at as last_opened_at
    from messages
    cross join clock
    inner join {{ source('raw', 'orders') }} as orders
        on
            orders.contact_id = messages.contact_id
            and orders.ordered_at > messages.accepted_at
            and orders.ordered_at <= clock.reporting_at
            and orders.ordered_at < messages.accepted_at + interval '{{ var("report_return_days", 30) }} days'
            and (orders.status <> 'cancelled' or orders.updated_at > clock.reporting_at)
    left join lateral (
        select max(event.occurred_at) as clicked_at
        from {{ source('events', 'engagement_event') }} as event
        where
            event.message_id = messages.message_id
            and event.kind = 'clicked'
            and not event.is_machine
            and event.occurred_at <= orders.ordered_at
            and event.occurred_at > orders.ordered_at - case
                when messages.channel = 'webpush' then messages.push_click_hours * interval '1 hour'
                else messages.click_days * interval '1 day'
            end
    ) as clicks on true
    left join lateral (
        select max(event.occurred_at) as opened_at
        from {{ source('events', 'engagement_event') }} as event
        where
            event.message_id = messages.message_id
            and event.kind = 'opened'
            and not event.is_machine
            and messages.channel <> 'webpush'
            and event.occurred_at <= orders.ordered_at
            and event.occurred_at > orders.ordered_at - messages.open_days * interval '1 day'
    ) as opens on true
),

-- An order is credited once: to what the person touched last, otherwise to what was sent last.
ranked as (
    select
        *,
        row_number() over (
            partition by order_id
            order by
                coalesce(last_clicked_at, last_opened_at) is not null desc,
                greatest(last_clicked_at, last_opened_at) desc nulls last,
                accepted_at desc,
                message_id
        ) as credit_rank
    from orders_after
),

credited as (
    select
        *,
        case
            when last_clicked_at is not null and channel = 'webpush' then 'push_click'
            when last_clicked_at is not null then 'click'
            when last_opened_at is not null then 'open'
        end as attributed_by
    from ranked
    where credit_rank = 1
),

final as (
    select
        order_id,
        message_id,
        run_id,
        contact_id,
        campaign,
        step,
        channel,
        currency,
        attributed_by,
        attributed_by is not null as is_attributed,
        coalesce(has_used_code, false) as has_used_code,
        row_number() over (partition by contact_id, campaign, episode_on order by ordered_at, order_id) = 1 as is_first,
        total::numeric(38, 4) as total,
        refunded::numeric(38, 4) as refunded,
        (total - refunded)::numeric(38, 4) as revenue,
        as_of,
        episode_on,
        (ordered_at at time zone timezone)::date as ordered_on,
        accepted_at,
        ordered_at
    from credited
)

select * from final
