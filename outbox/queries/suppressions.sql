-- Suppressions that a person asks for by name. Those that follow from events are folded in preferences.sql.

-- name: suppress_contact(contact_id, channels, reason, source, at)
-- Suppresses the addresses that a contact has now, one row an address or browser; one that is active already stays as it is.
insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)
select known.channel, known.address_hash, :reason, :source, :at::timestamptz
from handoff.recipients r
cross join lateral (
    values ('email', r.email_hash), ('sms', r.phone_hash)
    union all
    select 'webpush', outbox.address_hash('webpush', listed.subscription ->> 'endpoint')
    from jsonb_array_elements(r.subscriptions) as listed (subscription)
) as known (channel, address_hash)
where r.contact_id = :contact_id and known.channel = any(:channels::text[]) and known.address_hash is not null
on conflict do nothing
returning channel;

-- name: has_recipient(contact_id)$
-- Whether the contact is known at all.
select exists (select from handoff.recipients where contact_id = :contact_id);

-- name: stopped_addresses(channel, addresses, at)
-- Which of these addresses are suppressed at that time, by their hashes, whoever they belong to.
select known.address
from unnest(:addresses::text[]) as known (address)
where exists (
    select from outbox.suppression s
    where s.channel = :channel and s.address_hash = outbox.address_hash(:channel, known.address)
        and s.lifted_at is null and (s.until is null or s.until > :at::timestamptz)
);

-- name: suppressed_addresses(at)
-- What other systems must not write to either, with the address as the raw tables have it. It leaves the database for a file.
-- What lies after the clock has not happened yet in a simulation; live, a host's clock that is ahead of the database's unsays nothing.
select s.channel, known.address, r.contact_id, s.reason, s.suppressed_at as since, s.until
from handoff.recipients r
cross join lateral (values ('email', r.email, r.email_hash), ('sms', r.phone, r.phone_hash)) as known (channel, address, address_hash)
join outbox.suppression s on s.channel = known.channel and s.address_hash = known.address_hash
where s.lifted_at is null and (s.until is null or s.until > :at::timestamptz)
    and (s.suppressed_at <= :at::timestamptz or not exists (select from outbox.run where mode = 'simulated'))
order by s.channel, r.contact_id, s.reason;

-- name: suppressed_without_contact(at)$
-- Addresses on the stop list that no contact has any more: nobody can say what they are.
select count(distinct (s.channel, s.address_hash))
from outbox.suppression s
where s.channel in ('email', 'sms') and s.lifted_at is null and (s.until is null or s.until > :at::timestamptz)
    and (s.suppressed_at <= :at::timestamptz or not exists (select from outbox.run where mode = 'simulated'))
    and not exists (
        select
        from handoff.recipients r
        cross join lateral (values ('email', r.email_hash), ('sms', r.phone_hash)) as known (channel, address_hash)
        where known.channel = s.channel and known.address_hash = s.address_hash
    );

-- name: make_stop_table()#
-- Another system's stop list, a row a line; gone when the transaction ends.
create temporary table stop_line (
    channel text not null,
    address text not null,
    since timestamptz,
    until timestamptz
) on commit drop;

-- name: append_stops(source, at)^
-- Suppresses the addresses of the list, the longest of several lines counting. One that an earlier list had suppressed is extended, never
-- shortened; what is suppressed for another reason has that reason, too, and its own end.
with asked as (
    select distinct on (channel, address_hash)
        channel, address_hash, least(since, :at::timestamptz) as since, until
    from (select channel, outbox.address_hash(channel, address) as address_hash, since, until from stop_line) as lines
    order by channel, address_hash, until desc nulls first, since
),
in_force as (
    select * from asked where until is null or until > :at::timestamptz
),
suppressed as (
    insert into outbox.suppression as s (channel, address_hash, reason, source, suppressed_at, until)
    select channel, address_hash, 'imported', :source, since, until
    from in_force
    on conflict (channel, address_hash, reason) where lifted_at is null do update
    set until = excluded.until, source = excluded.source, suppressed_at = least(s.suppressed_at, excluded.suppressed_at)
    where s.until < coalesce(excluded.until, 'infinity')
    returning 1
)
select
    (select count(*) from asked) as addresses,
    (select count(*) from asked) - (select count(*) from in_force) as over,
    (select count(*) from suppressed) as suppressed;
