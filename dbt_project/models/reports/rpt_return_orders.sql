-- Everything is looked up: a message's person, the person's orders since, the person's other messages before each order. So the orders
-- of one run cost that run's messages, and the order history is never read as a whole.
with messages as (
    select * from {{ ref('rpt_messages') }}
    where is_reached
),

clock as (
    select * from {{ ref('rpt_clock') }}
),

definitions as (
    select * from {{ source('outbox', 'definition') }}
),

grants as (
    select * from {{ source('outbox', 'coupon_grant') }}
),

persons as (
    select
        messages.*,
        members.contact_ids,
        definitions.body ->> 'timezone' as timezone,
        grants.code,
        clock.reporting_at,
        episode.started_at
    from messages
    cross join clock
    inner join definitions on definitions.hash = messages.definition_hash
    left join grants on grants.id = messages.coupon_grant_id
    -- Who buys under another contact with the same address came back all the same. OFFSET 0: looked up once a message.
    cross join lateral (
        select {{ person_ids('messages.contact_id', source('raw', 'contacts')) }} as contact_ids
        offset 0
    ) as members
    cross join lateral (
        select min(earlier.accepted_at) as started_at
        from {{ source('outbox', 'message') }} as earlier
        where
            earlier.contact_id = messages.contact_id
            and earlier.campaign = messages.campaign
            and earlier.episode_on = messages.episode_on
            and earlier.state = 'accepted'
    ) as episode
),

orders_since as (
    select
        persons.*,
        orders.order_id,
        orders.currency,
        orders.total,
        orders.revenue,
        coalesce(orders.coupon_code = persons.code, false) as has_used_code,
        orders.ordered_at
    from persons
    cross join lateral (
        select
            known.order_id,
            known.currency,
            known.coupon_code,
            known.ordered_at,
            known.total::numeric(38, 4) as total,
            -- What was given back after the clock has not been given back yet.
            case
                when known.updated_at > persons.reporting_at then known.total
                else {{ order_revenue('known') }}
            end::numeric(38, 4) as revenue
        from {{ source('raw', 'orders') }} as known
        where
            known.contact_id = any(persons.contact_ids)
            and known.ordered_at > persons.accepted_at
            and known.ordered_at < persons.accepted_at + interval '{{ var("report_return_days", 30) }} days'
            and known.ordered_at <= persons.reporting_at
            and ({{ is_purchase('known') }} or known.updated_at > persons.reporting_at)
        offset 0
    ) as orders
),

-- An order is credited once: to the message that was touched last inside its window, otherwise to the one sent last.
credited as (
    select
        orders_since.*,
        credit.attributed_by
    from orders_since
    cross join lateral (
        select
            others.message_id,
            case
                when clicks.clicked_at is not null and others.channel = 'webpush' then 'push_click'
                when clicks.clicked_at is not null then 'click'
                when opens.opened_at is not null then 'open'
            end as attributed_by
        from {{ ref('rpt_messages') }} as others
        inner join definitions on definitions.hash = others.definition_hash
        cross join lateral (
            select max(event.occurred_at) as clicked_at
            from {{ source('events', 'engagement_event') }} as event
            where
                event.message_id = others.message_id
                and event.kind = 'clicked'
                and not event.is_machine
                and event.occurred_at <= orders_since.ordered_at
                and event.occurred_at > orders_since.ordered_at - case
                    when others.channel = 'webpush'
                        then (definitions.body #>> '{attribution,push_click_hours}')::numeric * interval '1 hour'
                    else (definitions.body #>> '{attribution,click_days}')::numeric * interval '1 day'
                end
        ) as clicks
        cross join lateral (
            select max(event.occurred_at) as opened_at
            from {{ source('events', 'engagement_event') }} as event
            where
                event.message_id = others.message_id
                and event.kind = 'opened'
                and not event.is_machine
                and others.channel <> 'webpush'
                and event.occurred_at <= orders_since.ordered_at
                and event.occurred_at
                > orders_since.ordered_at - (definitions.body #>> '{attribution,open_days}')::numeric * interval '1 day'
        ) as opens
        where
            others.contact_id = any(orders_since.contact_ids)
            and others.is_reached
            and others.accepted_at < orders_since.ordered_at
            and others.accepted_at > orders_since.ordered_at - interval '{{ var("report_return_days", 30) }} days'
        order by
            greatest(clicks.clicked_at, opens.opened_at) desc nulls last,
            others.accepted_at desc,
            others.message_id
        limit 1
    ) as credit
    where credit.message_id = orders_since.message_id
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
        total,
        total - revenue as refunded,
        revenue,
        attributed_by is not null as is_attributed,
        has_used_code,
        not exists (
            select 1
            from {{ source('raw', 'orders') }} as earlier
            where
                earlier.contact_id = any(credited.contact_ids)
                and earlier.ordered_at > credited.started_at
                and (earlier.ordered_at, earlier.order_id) < (credited.ordered_at, credited.order_id)
                and ({{ is_purchase('earlier') }} or earlier.updated_at > credited.reporting_at)
        ) as is_first,
        as_of,
        episode_on,
        (ordered_at at time zone timezone)::date as ordered_on,
        accepted_at,
        ordered_at
    from credited
)

select * from final
