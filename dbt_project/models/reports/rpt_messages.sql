-- Each message's events are looked up by its id: a report on one day costs that day's messages.
with messages as (
    select * from {{ source('outbox', 'message') }}
),

grants as (
    select * from {{ source('outbox', 'coupon_grant') }}
),

final as (
    select
        messages.id as message_id,
        messages.run_id,
        messages.contact_id,
        messages.campaign,
        messages.step,
        messages.channels[messages.channel_no] as channel,
        messages.state,
        messages.reason,
        messages.mode,
        messages.variant,
        messages.offer,
        grants.promotion,
        messages.coupon_grant_id,
        messages.definition_hash,
        attempts.attempts,
        attempts.segments,
        attempts.error_code,
        messages.as_of,
        messages.due_on,
        messages.episode_on,
        messages.planned_at,
        messages.not_before,
        messages.not_after,
        messages.accepted_at,
        messages.closed_at,
        delivery.delivered_at,
        delivery.bounced_at,
        engagement.opened_at,
        engagement.machine_opened_at,
        engagement.clicked_at,
        least(engagement.unsubscribed_at, preference.unsubscribed_at) as unsubscribed_at,
        engagement.complained_at,
        -- The carrier's last word counts: a message taken and then bounced reached nobody.
        messages.state = 'accepted' and (
            delivery.bounced_at is null or delivery.delivered_at > delivery.bounced_at
        ) as is_reached
    from messages
    left join grants on grants.id = messages.coupon_grant_id
    left join lateral (
        select
            count(*) as attempts,
            sum(attempt.segments) as segments,
            (array_agg(attempt.error_code order by attempt.attempt_no desc))[1] as error_code
        from {{ source('outbox', 'attempt') }} as attempt
        where attempt.message_id = messages.id
    ) as attempts on true
    left join lateral (
        select
            min(event.occurred_at) filter (where event.kind = 'delivered') as delivered_at,
            max(event.occurred_at) filter (where event.kind in ('bounced', 'dropped', 'failed')) as bounced_at
        from {{ source('events', 'delivery_event') }} as event
        where event.message_id = messages.id and event.channel = messages.accepted_channel
    ) as delivery on true
    left join lateral (
        select
            min(event.occurred_at) filter (
                where event.kind in ('opened', 'clicked') and not event.is_machine
            ) as opened_at,
            min(event.occurred_at) filter (where event.kind = 'opened' and event.is_machine) as machine_opened_at,
            min(event.occurred_at) filter (where event.kind = 'clicked' and not event.is_machine) as clicked_at,
            min(event.occurred_at) filter (where event.kind = 'unsubscribed') as unsubscribed_at,
            min(event.occurred_at) filter (where event.kind = 'complained') as complained_at
        from {{ source('events', 'engagement_event') }} as event
        where event.message_id = messages.id
    ) as engagement on true
    left join lateral (
        select min(event.occurred_at) as unsubscribed_at
        from {{ source('events', 'preference') }} as event
        where event.message_id = messages.id and event.kind = 'unsubscribed'
    ) as preference on true
)

select * from final
