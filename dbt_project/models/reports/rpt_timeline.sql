-- Asked for one contact at a time: the condition on contact_id reaches every branch and its index.
with clock as (
    select * from {{ ref('rpt_clock') }}
),

messages as (
    select * from {{ source('outbox', 'message') }}
),

purchases as (
    select
        orders.contact_id, null::uuid as message_id, null as campaign, null as step,
        'purchase' as kind,
        jsonb_build_object(
            'order_id', orders.order_id, 'status', {{ order_status('orders') }}, 'total', orders.total,
            'refunded_total', orders.refunded_total, 'currency', orders.currency, 'coupon_code', orders.coupon_code
        ) as detail,
        10 as position, null::date as as_of, orders.ordered_at as happened_at
    from {{ source('raw', 'orders') }} as orders
    cross join clock
    where clock.reporting_at is null or orders.ordered_at <= clock.reporting_at
),

decisions as (
    select
        decision.contact_id, null::uuid as message_id, decision.campaign, decision.step,
        'decision' as kind,
        jsonb_build_object(
            'decision', decision.decision, 'reason', decision.reason, 'reasons', decision.reasons, 'seen', decision.seen,
            'mode', decision.mode, 'episode_on', decision.episode_on, 'due_on', decision.due_on,
            'variant', decision.variant, 'run_id', decision.run_id, 'definition_hash', decision.definition_hash
        ) as detail,
        20 as position, decision.as_of, day.clock as happened_at
    from {{ source('outbox', 'decision') }} as decision
    inner join {{ source('outbox', 'run_day') }} as day on day.run_id = decision.run_id and day.as_of = decision.as_of
),

grants as (
    select
        grants.contact_id, null::uuid as message_id, grants.campaign, grants.step,
        'coupon_granted' as kind,
        jsonb_build_object(
            'promotion', grants.promotion, 'code', grants.code, 'valid_until', grants.valid_until
        ) as detail,
        30 as position, grants.as_of, grants.granted_at as happened_at
    from {{ source('outbox', 'coupon_grant') }} as grants
),

releases as (
    select
        grants.contact_id, null::uuid as message_id, grants.campaign, grants.step,
        'coupon_released' as kind,
        jsonb_build_object('promotion', grants.promotion, 'code', grants.code) as detail,
        75 as position, grants.as_of, grants.released_at as happened_at
    from {{ source('outbox', 'coupon_grant') }} as grants
    where grants.released_at is not null
),

contact_events as (
    select
        event.contact_id, null::uuid as message_id, null as campaign, null as step,
        'contact_event' as kind,
        jsonb_build_object('name', event.name) as detail,
        35 as position, null::date as as_of, event.occurred_at as happened_at
    from {{ source('outbox', 'contact_event') }} as event
),

planned as (
    select
        messages.contact_id, messages.id as message_id, messages.campaign, messages.step,
        'message_planned' as kind,
        jsonb_build_object(
            'channels', messages.channels, 'not_before', messages.not_before, 'not_after', messages.not_after,
            'state', messages.state, 'mode', messages.mode, 'offer', messages.offer
        ) as detail,
        40 as position, messages.as_of, messages.planned_at as happened_at
    from messages
),

attempts as (
    select
        messages.contact_id, messages.id as message_id, messages.campaign, messages.step,
        'attempt' as kind,
        jsonb_build_object(
            'attempt_no', attempt.attempt_no, 'channel', attempt.channel, 'outcome', attempt.outcome,
            'error_code', attempt.error_code, 'segments', attempt.segments, 'encoding', attempt.encoding
        ) as detail,
        50 as position, messages.as_of, attempt.opened_at as happened_at
    from messages
    inner join {{ source('outbox', 'attempt') }} as attempt on attempt.message_id = messages.id
),

closed as (
    select
        messages.contact_id, messages.id as message_id, messages.campaign, messages.step,
        'message_closed' as kind,
        jsonb_build_object(
            'state', messages.state, 'reason', messages.reason,
            'channel', coalesce(messages.accepted_channel, messages.channels[messages.channel_no])
        ) as detail,
        60 as position, messages.as_of, coalesce(messages.accepted_at, messages.closed_at) as happened_at
    from messages
    where coalesce(messages.accepted_at, messages.closed_at) is not null
),

tags_added as (
    select
        tag.contact_id, null::uuid as message_id, null as campaign, null as step,
        'tag_added' as kind, jsonb_build_object('tag', tag.tag) as detail,
        70 as position, null::date as as_of, tag.added_at as happened_at
    from {{ source('outbox', 'contact_tag') }} as tag
),

tags_removed as (
    select
        tag.contact_id, null::uuid as message_id, null as campaign, null as step,
        'tag_removed' as kind, jsonb_build_object('tag', tag.tag) as detail,
        70 as position, null::date as as_of, tag.removed_at as happened_at
    from {{ source('outbox', 'contact_tag') }} as tag
    where tag.removed_at is not null
),

deliveries as (
    select
        messages.contact_id, messages.id as message_id, messages.campaign, messages.step,
        'delivery' as kind,
        jsonb_build_object('kind', event.kind, 'channel', event.channel, 'code', event.code) as detail,
        80 as position, messages.as_of, event.occurred_at as happened_at
    from messages
    inner join {{ source('events', 'delivery_event') }} as event on event.message_id = messages.id
),

engagements as (
    select
        messages.contact_id, messages.id as message_id, messages.campaign, messages.step,
        'engagement' as kind,
        jsonb_build_object(
            'kind', event.kind, 'channel', event.channel, 'is_machine', event.is_machine
        ) as detail,
        85 as position, messages.as_of, event.occurred_at as happened_at
    from messages
    inner join {{ source('events', 'engagement_event') }} as event on event.message_id = messages.id
),

preferences as (
    select
        messages.contact_id, messages.id as message_id, messages.campaign, messages.step,
        'preference' as kind,
        jsonb_build_object(
            'kind', event.kind, 'channel', event.channel, 'source', event.source, 'until', event.until
        ) as detail,
        90 as position, messages.as_of, event.occurred_at as happened_at
    from messages
    inner join {{ source('events', 'preference') }} as event on event.message_id = messages.id
),

-- An address is known here by its hash alone, and only where a message went to it.
addresses as (
    select distinct messages.contact_id, attempt.channel, attempt.address_hash
    from messages
    inner join {{ source('outbox', 'attempt') }} as attempt on attempt.message_id = messages.id
    where attempt.address_hash is not null
),

replies as (
    select
        addresses.contact_id, null::uuid as message_id, null as campaign, null as step,
        'preference' as kind,
        jsonb_build_object(
            'kind', event.kind, 'channel', event.channel, 'source', event.source, 'until', event.until
        ) as detail,
        90 as position, null::date as as_of, event.occurred_at as happened_at
    from addresses
    inner join {{ source('events', 'preference') }} as event
        on event.channel = addresses.channel and event.address_hash = addresses.address_hash
    where event.message_id is null
),

suppressions as (
    select
        addresses.contact_id, null::uuid as message_id, null as campaign, null as step,
        'suppressed' as kind,
        jsonb_build_object(
            'channel', suppression.channel, 'reason', suppression.reason, 'until', suppression.until,
            'lifted_at', suppression.lifted_at
        ) as detail,
        95 as position, null::date as as_of, suppression.suppressed_at as happened_at
    from addresses
    inner join {{ source('outbox', 'suppression') }} as suppression
        on suppression.channel = addresses.channel and suppression.address_hash = addresses.address_hash
),

final as (
    select * from purchases
    union all select * from decisions
    union all select * from grants
    union all select * from releases
    union all select * from contact_events
    union all select * from planned
    union all select * from attempts
    union all select * from closed
    union all select * from tags_added
    union all select * from tags_removed
    union all select * from deliveries
    union all select * from engagements
    union all select * from preferences
    union all select * from replies
    union all select * from suppressions
)

select * from final
