-- What became of the attempts: told by senders, by webhooks, by people.

-- name: record_outcomes(outcomes, clock, backoff)
-- Writes one outcome per attempt and moves its message on. An attempt that is closed already stays as it is.
-- After a sweep the answer still counts: it is the evidence that moves the attempt out of unknown.
with reported as materialized (
    select * from jsonb_to_recordset(:outcomes::jsonb) as o (
        message_id uuid, attempt_no smallint, outcome text, provider_message_id text, error_code text, segments smallint, encoding text,
        retry_seconds float8, suppress text, gone_endpoints text[], is_address_fault boolean
    )
), waiting as (
    select a.message_id, a.attempt_no, a.outcome as was
    from outbox.attempt a
    join reported r using (message_id, attempt_no)
    where a.outcome = 'open' or (a.outcome = 'unknown' and r.outcome <> 'unknown')
    order by a.message_id
    for update of a
), closed as (
    update outbox.attempt a set
        outcome = r.outcome,
        closed_at = greatest(:clock::timestamptz, a.opened_at),
        provider_message_id = coalesce(r.provider_message_id, a.provider_message_id),
        error_code = r.error_code,
        segments = coalesce(r.segments, a.segments),
        encoding = coalesce(r.encoding, a.encoding),
        is_address_fault = nullif(r.is_address_fault, false),
        evidence = case when w.was = 'unknown' then jsonb_build_object('source', 'late answer', 'at', :clock::timestamptz) end
    from waiting w
    join reported r using (message_id, attempt_no)
    where a.message_id = w.message_id and a.attempt_no = w.attempt_no
    returning a.message_id, a.attempt_no, a.channel, a.address_hash, a.outcome, a.error_code, a.closed_at,
        r.retry_seconds, r.suppress, r.gone_endpoints
), moved as (
    update outbox.message m set
        state = case
            when c.outcome = 'accepted' then 'accepted'
            when c.outcome = 'unknown' then 'in_doubt'
            when c.outcome = 'rejected' and m.channel_no = cardinality(m.channels) then 'rejected'
            else 'planned'
        end,
        accepted_at = case when c.outcome = 'accepted' then c.closed_at end,
        accepted_channel = case when c.outcome = 'accepted' then c.channel end,
        closed_at = case
            when c.outcome = 'accepted' or (c.outcome = 'rejected' and m.channel_no = cardinality(m.channels)) then c.closed_at
        end,
        reason = case when c.outcome <> 'accepted' then coalesce(c.error_code, c.outcome) end,
        channel_no = case when c.outcome = 'rejected' then least(m.channel_no + 1, cardinality(m.channels)) else m.channel_no end,
        -- Not sent: again when the provider said, otherwise after a pause that doubles each time.
        not_before = case when c.outcome = 'not_sent' then least(m.not_after, greatest(m.not_before, :clock::timestamptz + coalesce(
            make_interval(secs => c.retry_seconds),
            :backoff::interval * power(2, least(6, (
                select count(*) from outbox.attempt a
                where a.message_id = m.id and a.channel = c.channel and a.outcome = 'not_sent'
            )))
        ))) else m.not_before end
    from closed c
    where m.id = c.message_id and m.state in ('sending', 'in_doubt')
    returning m.id, m.contact_id, m.tag, m.state, m.accepted_at, c.outcome
), tagged as (
    insert into outbox.contact_tag (contact_id, tag, added_at, caused_by)
    select contact_id, tag, accepted_at, id from moved where state = 'accepted' and tag is not null
    on conflict do nothing
), suppressed as (
    insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)
    select c.channel, c.address_hash, c.suppress, 'provider', c.closed_at
    from closed c
    where c.suppress is not null and c.address_hash is not null
    union
    select 'webpush', outbox.address_hash('webpush', gone.endpoint), 'gone', 'provider', c.closed_at
    from closed c
    cross join lateral unnest(c.gone_endpoints) as gone (endpoint)
    on conflict do nothing
)
select r.message_id, coalesce(m.state, 'ignored') as state, m.outcome
from reported r
left join moved m on m.id = r.message_id;

-- name: keep_costs(costs)!
-- What texts will cost, before they are sent.
update outbox.attempt a
set segments = c.segments, encoding = c.encoding
from jsonb_to_recordset(:costs::jsonb) as c (message_id uuid, attempt_no smallint, segments smallint, encoding text)
where a.message_id = c.message_id and a.attempt_no = c.attempt_no and a.outcome = 'open';

-- name: open_attempts(worker)
-- What a worker has under way.
select message_id, attempt_no from outbox.attempt where outcome = 'open' and worker = :worker;

-- name: reconcile_by_events(clock)
-- In doubt, until a provider reports about it: an event that carries our id proves that the message was accepted, whatever became of it
-- then: acceptance is the hand-over. (Not where the event may be of an earlier attempt, of which the provider had said that it failed.)
with doubtful as materialized (
    select a.message_id, a.attempt_no, a.channel, a.opened_at
    from outbox.attempt a
    where a.outcome = 'unknown'
    order by a.message_id
    for update skip locked
), heard as (
    select d.message_id, d.attempt_no, d.channel, d.opened_at, first.*
    from doubtful d
    cross join lateral (
        select e.event_key, e.kind, e.provider_message_id, e.occurred_at
        from events.report e
        where e.message_id = d.message_id and e.channel = d.channel and outbox.is_proof(e.kind, e.message_id, e.channel, e.provider_message_id)
        order by e.occurred_at
        limit 1
    ) as first
), closed as (
    update outbox.attempt a set
        outcome = 'accepted',
        provider_message_id = coalesce(a.provider_message_id, h.provider_message_id),
        evidence = jsonb_build_object(
            'source', 'webhook', 'event_key', h.event_key, 'kind', h.kind, 'at', :clock::timestamptz
        )
    from heard h
    where a.message_id = h.message_id and a.attempt_no = h.attempt_no
    returning a.message_id, h.channel, greatest(h.opened_at, h.occurred_at) as accepted_at
), moved as (
    update outbox.message m
    set state = 'accepted', accepted_at = c.accepted_at, accepted_channel = c.channel, closed_at = c.accepted_at, reason = null
    from closed c
    where m.id = c.message_id and m.state = 'in_doubt'
    returning m.id, m.contact_id, m.tag, m.accepted_at
), tagged as (
    insert into outbox.contact_tag (contact_id, tag, added_at, caused_by)
    select contact_id, tag, accepted_at, id from moved where tag is not null
    on conflict do nothing
)
select id from moved;

-- name: reconcile_planned(ids, clock)
-- Planned, because an attempt was believed not to have left (somebody said so, or its provider did), and reported since: it had left.
-- Accepted then, and not sent again. Messages without an earlier attempt cost one look into an index.
-- That it failed only confirms a provider's own answer, and the message is still to be sent (outbox.is_proof). After a person's word it says
-- that the provider had it, as it would have said without that word: the person has nothing from this hand-over, or, where a carrier only
-- guesses (`undelivered`), has it after all. Nobody gets a second one for that, released or not.
with heard as materialized (
    select distinct on (a.message_id) a.message_id, a.attempt_no, a.channel, a.opened_at, a.evidence as believed, first.*
    from outbox.attempt a
    cross join lateral (
        select e.event_key, e.kind, e.provider_message_id, e.occurred_at
        from events.report e
        where e.message_id = a.message_id and e.channel = a.channel and outbox.is_proof(e.kind, e.message_id, e.channel, e.provider_message_id)
        order by e.occurred_at
        limit 1
    ) as first
    where a.message_id = any(:ids::uuid[]) and a.outcome = 'not_sent'
    -- Of several the one that was in doubt, otherwise the one that the report names, otherwise the last that a provider had: one that none
    -- can have had does not become its success.
    order by a.message_id, (a.evidence ->> 'source' is not distinct from 'operator') desc,
        coalesce(a.provider_message_id = first.provider_message_id, false) desc, (a.provider_message_id is not null) desc, a.attempt_no desc
), closed as (
    update outbox.attempt a set
        outcome = 'accepted',
        provider_message_id = coalesce(a.provider_message_id, h.provider_message_id),
        evidence = jsonb_build_object(
            'source', 'webhook', 'event_key', h.event_key, 'kind', h.kind, 'at', :clock::timestamptz, 'against', h.believed - 'text'
        )
    from heard h
    where a.message_id = h.message_id and a.attempt_no = h.attempt_no
    returning a.message_id, a.channel, greatest(h.opened_at, h.occurred_at) as accepted_at
), moved as (
    update outbox.message m
    set state = 'accepted', accepted_at = c.accepted_at, accepted_channel = c.channel, closed_at = c.accepted_at, reason = null
    from closed c
    where m.id = c.message_id and m.state = 'planned'
    returning m.id, m.contact_id, m.tag, m.accepted_at
), tagged as (
    insert into outbox.contact_tag (contact_id, tag, added_at, caused_by)
    select contact_id, tag, accepted_at, id from moved where tag is not null
    on conflict do nothing
)
select id from moved;

-- name: report_of(message_id, channel)^
-- The first thing that a provider or a person reported of a message on a channel and that proves that it had left.
select provider, kind, occurred_at
from events.report
where message_id = :message_id and channel = :channel and outbox.is_proof(kind, message_id, channel, provider_message_id)
order by occurred_at
limit 1;

-- name: message_in_doubt(message_id)^
-- One message with its last attempt, for a person who knows what became of it. Where the attempt is open or in doubt, both are locked, the
-- attempt first, as by everything that moves a message after its attempt: neither waits for the other. (The message is locked once its row
-- is joined, so after the attempt's.) A closed one is not locked: a claim or an end of the message's time holds the message before it.
-- The locked one is told as it is once the lock is there, not as it was when the waiting for it began.
with held as materialized (
    select a.* from outbox.attempt a
    where a.message_id = :message_id and a.outcome in ('open', 'unknown')
    for update
), last as materialized (
    (select * from held)
    union all
    (
        select a.* from outbox.attempt a
        where a.message_id = :message_id and not exists (select from held)
        order by a.attempt_no desc limit 1
    )
)
select m.id, m.campaign, m.step, m.state, m.channel_no, cardinality(m.channels) as channel_count,
    r.mode, last.attempt_no, last.channel, last.outcome, last.opened_at, last.lease_until, last.closed_at
from outbox.message m
join outbox.run r using (run_id)
left join last on true
where m.id = :message_id
for update of m;

-- name: doubtful(channel, since, size)
-- A few attempts in doubt, left to chance: those that no log has must not stand in the way of the others.
select message_id, attempt_no from outbox.attempt
where outcome = 'unknown' and channel = :channel and opened_at >= :since
order by random()
limit :size;

-- name: settle_attempt(message_id, attempt_no, outcome, evidence)!
-- A person's word moves an attempt out of unknown.
update outbox.attempt set outcome = :outcome, evidence = :evidence::jsonb
where message_id = :message_id and attempt_no = :attempt_no and outcome = 'unknown';

-- name: settle_message(message_id, state, channel, clock)^
-- The message follows its attempt; one that is planned again is due at once.
update outbox.message m set
    state = :state,
    reason = case when :state = 'accepted' then null else 'released' end,
    accepted_at = case when :state = 'accepted' then :clock::timestamptz end,
    accepted_channel = case when :state = 'accepted' then :channel end,
    closed_at = case when :state <> 'planned' then :clock::timestamptz end
where m.id = :message_id and m.state = 'in_doubt'
returning m.id, m.contact_id, m.tag, m.state;

-- name: add_tag(contact_id, tag, at, caused_by)!
-- A contact's tag; one that is there stays as it is.
insert into outbox.contact_tag (contact_id, tag, added_at, caused_by) values (:contact_id, :tag, :at, :caused_by)
on conflict do nothing;

-- name: put_off(unreachable, clock, mode)
-- What waits for its next try because its provider could not be reached: how much by channel, since when, and when it is tried again.
select m.channels[m.channel_no] as channel, count(*) as messages, min(tried.since) as since, min(m.not_before) as next_try
from outbox.message m
join outbox.run r using (run_id)
cross join lateral (
    select min(a.closed_at) as since
    from outbox.attempt a
    where a.message_id = m.id and a.channel = m.channels[m.channel_no] and a.error_code = :unreachable
) as tried
where m.state = 'planned' and m.reason = :unreachable and m.not_before > :clock and r.mode = :mode
group by 1
order by 1;

-- name: states_of_run(run_id)
-- How the messages of a run stand.
select state, count(*) as messages from outbox.message where run_id = :run_id group by state order by state;
