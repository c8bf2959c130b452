-- What `explain` asks about one contact.

-- name: person(contact_id)^
-- What may be known of a contact.
select * from reports.rpt_contacts where contact_id = :contact_id;

-- name: is_heard_of(contact_id)$
-- Whether anything on record is of this contact: an order, a decision, a message.
select exists (select from reports.rpt_timeline where contact_id = :contact_id);

-- name: some_contacts(as_of)
-- A few contacts that something was decided about, for whoever mistyped an id.
select contact_id
from outbox.decision
where :as_of::date is null or as_of = :as_of
group by contact_id
order by contact_id
limit 5;

-- name: days_run(contact_id)
-- The days that were run, with whether anything was decided about this contact; newest first.
select
    day.as_of,
    exists (
        select from outbox.decision where decision.contact_id = :contact_id and decision.as_of = day.as_of
    ) as is_decided
from outbox.run_day as day
group by day.as_of
order by day.as_of desc;

-- name: timeline(contact_id)
-- Everything that happened to a contact, oldest first.
select campaign, step, kind, detail, as_of, message_id, happened_at
from reports.rpt_timeline
where contact_id = :contact_id
order by happened_at, position, message_id;

-- name: last_purchase(contact_id, as_of, day_start, timezone)^
-- The purchase that the clock of a day goes by: the last one placed before the day began.
select
    happened_at,
    detail,
    (happened_at at time zone :timezone)::date as purchased_on,
    :as_of::date - (happened_at at time zone :timezone)::date as days_ago
from reports.rpt_timeline
where
    contact_id = :contact_id
    and kind = 'purchase'
    and detail ->> 'status' <> 'cancelled'
    and happened_at < :day_start::timestamptz
order by happened_at desc
limit 1;

-- name: due_dates(bundle_hash, purchased_on, as_of)
-- When each step that counts from the last purchase falls due, as long as nothing is bought before.
select
    campaign, title, step, trigger, clock_kind, after_days, after_step, event, wait_days, is_enabled, channels,
    :purchased_on::date + after_days as due_on,
    :purchased_on::date + after_days < :as_of::date as is_past
from reports.rpt_steps
where bundle_hash = :bundle_hash and trigger = 'clock' and clock_kind = 'last_purchase'
order by priority, campaign, position;

-- name: same_person(contact_id)
-- The other contacts of this one's person.
select member_contact_id as contact_id
from customers.int_same_person
where contact_id = :contact_id and member_contact_id <> :contact_id
order by member_contact_id;

-- name: stops(contact_id, members)
-- The stop list's entries on the present addresses of a person and on those that messages went to before, oldest first.
-- An opt-out counts for the person, a dead address for its own contact.
with recipients as (
    select * from handoff.recipients where contact_id = any(:members::text[])
),

addresses as (
    select contact_id, 'email' as channel, email_hash as address_hash from recipients
    union
    select contact_id, 'sms' as channel, phone_hash as address_hash from recipients
    union
    select
        recipients.contact_id,
        'webpush' as channel,
        outbox.address_hash('webpush', subscription.value ->> 'endpoint') as address_hash
    from recipients
    cross join lateral jsonb_array_elements(recipients.subscriptions) as subscription
    union
    select message.contact_id, attempt.channel, attempt.address_hash
    from outbox.message
    inner join outbox.attempt on attempt.message_id = message.id
    where message.contact_id = any(:members::text[])
)

select
    suppression.channel,
    suppression.reason,
    suppression.source,
    suppression.suppressed_at,
    suppression.suppressed_until as until,
    suppression.lifted_at,
    not bool_or(addresses.contact_id = :contact_id) as is_anothers,
    min(addresses.contact_id) as whose
from addresses
inner join staging.stg_outbox__suppressions as suppression
    on suppression.channel = addresses.channel and suppression.address_hash = addresses.address_hash
where addresses.contact_id = :contact_id or not suppression.is_about_address
group by
    suppression.suppression_id, suppression.channel, suppression.reason, suppression.source, suppression.suppressed_at,
    suppression.suppressed_until, suppression.lifted_at
order by suppression.suppressed_at, suppression.channel, suppression.suppression_id;

-- name: bought_at(contacts, at)^
-- Which of these contacts placed an order at an instant.
select contact_id
from reports.rpt_timeline
where contact_id = any(:contacts::text[]) and kind = 'purchase' and happened_at = :at::timestamptz
order by contact_id
limit 1;
