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

-- name: last_purchase(contact_id, as_of, timezone)^
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
    and happened_at < :as_of::timestamp at time zone :timezone
order by happened_at desc
limit 1;

-- name: due_dates(bundle_hash, purchased_on, as_of)
-- When each step that counts from the last purchase falls due, as long as nothing is bought before.
select
    campaign, title, step, trigger, clock_kind, after_days, after_step, event, wait_days, is_enabled,
    :purchased_on::date + after_days as due_on,
    :purchased_on::date + after_days < :as_of::date as is_past
from reports.rpt_steps
where bundle_hash = :bundle_hash and trigger = 'clock' and clock_kind = 'last_purchase'
order by priority, campaign, position;

-- name: same_person(contact_id)
-- The contacts that share an address or a phone with this one, or with one that does. Whatever is malformed links nobody: recipients has
-- no such address. Each step is a look-up in the indexes on lower(btrim(email)) and phone.
with recursive linked as (
    select contact_id, lower(email) as email, phone
    from handoff.recipients
    where contact_id = :contact_id
    union
    select recipients.contact_id, lower(recipients.email) as email, recipients.phone
    from linked
    cross join lateral (
        select contact_id from staging.stg_raw__contacts where lower(btrim(email)) = linked.email
        union all
        select contact_id from staging.stg_raw__contacts where phone = linked.phone
        offset 0
    ) as same
    inner join handoff.recipients as recipients on recipients.contact_id = same.contact_id
)

select distinct contact_id from linked where contact_id <> :contact_id order by contact_id;

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
    suppression.until,
    suppression.lifted_at,
    not bool_or(addresses.contact_id = :contact_id) as is_anothers,
    min(addresses.contact_id) as whose
from addresses
inner join outbox.suppression
    on suppression.channel = addresses.channel and suppression.address_hash = addresses.address_hash
where addresses.contact_id = :contact_id or suppression.reason not in ('bounced', 'invalid', 'gone')
group by suppression.id
order by suppression.suppressed_at, suppression.channel, suppression.id;

-- name: bought_at(contacts, at)^
-- Which of these contacts placed an order at an instant.
select contact_id
from reports.rpt_timeline
where contact_id = any(:contacts::text[]) and kind = 'purchase' and happened_at = :at::timestamptz
order by contact_id
limit 1;
