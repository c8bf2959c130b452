-- What `explain` asks about one contact.

-- name: person(contact_id)^
-- What may be known of a contact.
select * from reports.rpt_contacts where contact_id = :contact_id;

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
