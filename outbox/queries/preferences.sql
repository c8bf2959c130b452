-- What people and carriers said, folded into suppressions.

-- name: fold_preferences(overlap, soft_limit, soft_period, soft_pause)^
-- What people asked for becomes suppressions of the addresses it was asked for: where the message went, and where the contact is now.
-- What carriers say of an address becomes a suppression of that one alone: for good, or after several soft failures for a while.
-- Goes on a little before the last folding (writers may commit late), by when rows were stored; what is folded already changes nothing.
with since as (
    select coalesce((select at - :overlap::interval from outbox.watermark where name = 'preferences'), '-infinity') as at
), fresh as (
    select p.channel, p.kind, p.until, p.source, p.occurred_at, p.received_at, p.message_id, p.address_hash
    from events.preference p, since
    where p.stored_at >= since.at
    union all
    select e.channel, e.kind, null, e.provider, e.occurred_at, e.received_at, e.message_id, null
    from events.engagement_event e, since
    where e.stored_at >= since.at and e.kind in ('complained', 'unsubscribed')
    union all
    select d.channel, coalesce(d.address_fault, d.kind), null, d.provider, d.occurred_at, d.received_at, d.message_id, null
    from events.delivery_event d, since
    where d.stored_at >= since.at and (d.kind = 'bounced' or d.address_fault is not null)
        and d.address_fault is distinct from 'soft'
), noes as (
    select distinct channel, message_id, address_hash from fresh where kind in ('unsubscribed', 'stopped', 'paused')
), persons as (
    select distinct n.channel, m.contact_id from noes n join outbox.message m on m.id = n.message_id
), addresses as (
    select channel, address_hash from noes where address_hash is not null
    union
    select t.channel, t.address_hash
    from noes n join outbox.attempt t on t.message_id = n.message_id and t.channel = n.channel
    union
    select p.channel, case p.channel when 'email' then r.email_hash when 'sms' then r.phone_hash end
    from persons p join handoff.recipients r using (contact_id)
), yeses as (
    -- A no may land long after a newer yes was folded: what these people said since counts, whenever it was stored.
    select p.event_key
    from persons
    join outbox.message m using (contact_id)
    join events.preference p on p.message_id = m.id and p.channel = persons.channel
    where p.kind = 'resubscribed'
    union
    select p.event_key
    from addresses
    join events.preference p using (channel, address_hash)
    where p.kind = 'resubscribed'
    union
    select p.event_key
    from noes n
    join events.preference p on p.channel = n.channel and p.kind = 'resubscribed'
    join outbox.attempt t on t.message_id = p.message_id and t.channel = n.channel and t.address_hash = n.address_hash
    where n.message_id is null and n.address_hash is not null
), asked as (
    select * from fresh
    union
    select p.channel, p.kind, p.until, p.source, p.occurred_at, p.received_at, p.message_id, p.address_hash
    from yeses join events.preference p using (event_key)
), softly as materialized (
    -- Addresses with a new soft failure, and every message that failed softly there since the last one that arrived.
    select touched.channel, touched.address_hash, failed.*
    from (
        select distinct a.channel, a.address_hash, m.contact_id
        from events.delivery_event d
        cross join since
        join outbox.attempt a on a.message_id = d.message_id and a.channel = d.channel
        join outbox.message m on m.id = a.message_id
        where d.stored_at >= since.at and d.address_fault = 'soft' and a.address_hash is not null
    ) as touched
    cross join lateral (
        select max(e.occurred_at) filter (where e.kind = 'delivered') as arrived_at,
            max(e.occurred_at) filter (where e.address_fault = 'soft') as last_at
        from outbox.message m
        join outbox.attempt a on a.message_id = m.id
        join events.delivery_event e on e.message_id = m.id and e.channel = a.channel
        where m.contact_id = touched.contact_id and a.channel = touched.channel and a.address_hash = touched.address_hash
    ) as ends
    cross join lateral (
        select count(distinct m.id) as messages, max(e.occurred_at) as occurred_at, max(e.received_at) as received_at,
            max(e.provider) as provider
        from outbox.message m
        join outbox.attempt a on a.message_id = m.id
        join events.delivery_event e on e.message_id = m.id and e.channel = a.channel
        where m.contact_id = touched.contact_id and a.channel = touched.channel and a.address_hash = touched.address_hash
            and e.address_fault = 'soft' and e.occurred_at > ends.last_at - :soft_period::interval
            and e.occurred_at > coalesce(ends.arrived_at, '-infinity')
    ) as failed
    where failed.messages >= :soft_limit
), placed as (
    select a.channel, a.address_hash, a.kind, a.until, a.source, a.occurred_at, a.received_at
    from asked a where a.address_hash is not null
    union
    select a.channel, t.address_hash, a.kind, a.until, a.source, a.occurred_at, a.received_at
    from asked a
    join outbox.attempt t on t.message_id = a.message_id and t.channel = a.channel
    where a.address_hash is null and t.address_hash is not null
    union
    select a.channel, now.address_hash, a.kind, a.until, a.source, a.occurred_at, a.received_at
    from asked a
    join outbox.message m on m.id = a.message_id
    join handoff.recipients r on r.contact_id = m.contact_id
    cross join lateral (
        select case a.channel when 'email' then r.email_hash when 'sms' then r.phone_hash end as address_hash
    ) as now
    -- A bounce speaks of the address it was sent to, and of no other.
    where a.address_hash is null and now.address_hash is not null and a.kind not in ('bounced', 'invalid')
    union
    select s.channel, s.address_hash, 'undeliverable', s.occurred_at + :soft_pause::interval, s.provider, s.occurred_at, s.received_at
    from softly s
), newest as (
    -- Three subjects: what an address is worth, whether the person wants mail, and a pause, which takes back no earlier no.
    select distinct on (channel, address_hash, subject) *
    from (
        select *, case
            when kind in ('bounced', 'invalid', 'complained') then 'address' when kind = 'undeliverable' then 'soft'
            when kind = 'paused' then 'pause' else 'wish'
        end as subject
        from placed
    ) as sorted
    order by channel, address_hash, subject, occurred_at desc, received_at desc
), lifted as (
    update outbox.suppression s
    set lifted_at = greatest(n.occurred_at, s.suppressed_at)
    from newest n
    where s.channel = n.channel and s.address_hash = n.address_hash and s.lifted_at is null
        and s.suppressed_at < n.occurred_at
        and (
            (n.kind = 'resubscribed' and s.reason in ('unsubscribed', 'stopped', 'paused'))
            or (n.kind in ('paused', 'undeliverable') and s.reason = n.kind)
        )
    returning 1
), added as (
    insert into outbox.suppression (channel, address_hash, reason, source, event_received_at, suppressed_at, until)
    select n.channel, n.address_hash, case when n.source = 'sms_keyword' and n.kind = 'unsubscribed' then 'stopped' else n.kind end,
        n.source, n.received_at, n.occurred_at, case when n.kind in ('paused', 'undeliverable') then n.until end
    from newest n
    -- First the lifting, then the new row: one of a kind may be active.
    cross join (select count(*) from lifted) as lifted_first
    where n.kind <> 'resubscribed' and not (n.kind in ('unsubscribed', 'stopped', 'paused') and exists (
        select from newest yes
        where yes.channel = n.channel and yes.address_hash = n.address_hash
            and yes.kind = 'resubscribed' and yes.occurred_at >= n.occurred_at
    )) and not exists (
        select from outbox.suppression s
        where s.channel = n.channel and s.address_hash = n.address_hash and s.suppressed_at >= n.occurred_at
            and (s.reason = n.kind or (s.reason = 'stopped' and n.kind = 'unsubscribed'))
    )
    on conflict do nothing
    returning 1
)
select (select count(*) from added) as suppressed, (select count(*) from lifted) as lifted;

-- name: mark_folded(name)!
-- Everything that was stored before this transaction began has been folded.
insert into outbox.watermark (name, at) values (:name, now())
on conflict (name) do update set at = greatest(excluded.at, outbox.watermark.at);
