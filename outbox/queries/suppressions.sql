-- Suppressions that a person asks for by name. Those that follow from events are folded in outcomes.sql.

-- name: suppress_contact(contact_id, channels, reason, source, at)
-- Suppresses the addresses that a contact has now, one row a channel; one that is active already stays as it is.
insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)
select known.channel, known.address_hash, :reason, :source, :at::timestamptz
from handoff.recipients r
cross join lateral (values ('email', r.email_hash), ('sms', r.phone_hash)) as known (channel, address_hash)
where r.contact_id = :contact_id and known.channel = any(:channels::text[]) and known.address_hash is not null
on conflict do nothing
returning channel;

-- name: has_recipient(contact_id)$
-- Whether the contact is known at all.
select exists (select from handoff.recipients where contact_id = :contact_id);
