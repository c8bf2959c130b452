-- The claim: everything that may have changed since the decision is looked at again, in the transaction that opens the attempts.

-- name: due_groups(clock, mode, shard, shards)
-- What is due, by what can be sent together: one channel, one definition, one template.
select due.campaign, due.channel, due.definition_hash, due.template_hash, due.due
from (
    select m.campaign, m.channels[m.channel_no] as channel, m.definition_hash, m.template_hash, count(*) as due,
        min(m.not_before) as since
    from outbox.message m
    where m.state = 'planned' and m.not_before <= :clock
        and exists (select from outbox.run r where r.run_id = m.run_id and r.mode = :mode)
        and outbox.shard_of(m.contact_id, :shards) = :shard
    group by m.campaign, m.channels[m.channel_no], m.definition_hash, m.template_hash
) as due
join outbox.definition d on d.hash = due.definition_hash
order by (d.body ->> 'priority')::integer nulls last, due.campaign, due.since, due.channel, due.template_hash;

-- name: next_due(clock, until, mode, shard, shards)$
-- The next instant at which something becomes due: a simulated clock steps there.
select min(m.not_before)
from outbox.message m
join outbox.run r using (run_id)
where m.state = 'planned' and m.not_before > :clock and m.not_before < :until and r.mode = :mode
    and outbox.shard_of(m.contact_id, :shards) = :shard;

-- name: waiting_on_channel(channel, clock, mode)^
-- What a channel still owes: messages that are due, or were tried through it and put off, and when the first of them is too late.
select count(*) as messages, min(m.not_after) as first_expires
from outbox.message m
join outbox.run r using (run_id)
where m.state = 'planned' and r.mode = :mode and m.channels[m.channel_no] = :channel
    and (
        m.not_before <= :clock
        or exists (select from outbox.attempt a where a.message_id = m.id and a.channel = :channel and a.outcome = 'not_sent')
    );

-- name: pick_due(channel, definition_hash, template_hash, clock, mode, shard, shards, size)
-- The next messages of a group, locked; those that another worker holds are passed over.
-- A message belongs to a clock: what was planned in a simulation never goes out through a live dispatch, nor the other way round.
-- coalesce hides two comparisons of expressions, which the planner takes for rare: it would sort everything that is due for each claim,
-- where the index has it in order.
select m.id
from outbox.message m
join outbox.run r using (run_id)
where m.state = 'planned' and m.not_before <= :clock and r.mode = :mode
    and coalesce(m.channels[m.channel_no] = :channel, false)
    and m.definition_hash = :definition_hash and m.template_hash = :template_hash
    and coalesce(outbox.shard_of(m.contact_id, :shards) = :shard, false)
order by m.not_before, m.id
limit :size
for update of m skip locked;

-- name: lock_people(ids, lock)
-- One claim at a time per person (who shares an address or a phone is one, over others as well), so that two messages cannot pass one
-- cap together.
-- In the order of their keys: two claims never wait for each other. The next statement sees what the other claim committed.
select pg_advisory_xact_lock(:lock, person.key)
from (
    select distinct hashtext(coalesce(r.person_id, m.contact_id)) as key
    from outbox.message m
    left join lateral (
        select listed.person_id from handoff.recipients listed where listed.contact_id = m.contact_id offset 0
    ) as r on true
    where m.id = any(:ids::uuid[])
    order by key
) as person;

-- name: judge_and_open(ids, channel, clock, zone, send_at, hours, per_day, per_7_days, worker, lease, known_until)
-- Looks at each message again; closes, defers or moves on those that may not go now, and opens an attempt for the others.
-- One row a message: its verdict and, for an opened one, where it goes. Addresses leave here for the sender and are kept nowhere.
-- offset 0 keeps each look-up of a contact one look-up: otherwise the planner may work through all of them to find a hundred.
with candidate as materialized (
    select m.id, m.contact_id, m.channels, m.channel_no, m.not_before, m.not_after, m.reason, m.consent, m.coupon_grant_id,
        m.campaign, m.step, m.merge_fields, r.first_name, r.email, r.phone, r.email_hash, r.phone_hash, r.subscriptions,
        coalesce(r.person_id, m.contact_id) as person_id, r.consent as consent_now, r.contact_id is not null as is_known,
        r.timezone, r.country, case when :hours::jsonb ? 'places' then r.region end as region,
        coalesce((select z.zone from outbox.time_zone z where z.zone = r.timezone), :zone::text) as own_zone
    from outbox.message m
    left join lateral (
        select * from handoff.recipients listed where listed.contact_id = m.contact_id offset 0
    ) as r on true
    where m.id = any(:ids::uuid[])
),
-- When a channel opens and closes next is asked once a place, not once a message.
place as materialized (
    select p.timezone, p.country, p.region, opening.at as open_at,
        outbox.next_close(:clock::timestamptz, opening.zones, opening.hours[2]) as close_at
    from (select distinct timezone, country, region from candidate) as p
    cross join lateral (
        select known.zones, known.hours,
            outbox.next_open(:clock::timestamptz, known.zones, known.hours[1], known.hours[2]) as at
        from (
            select outbox.zones_of(p.timezone, p.country, :zone::text) as zones,
                outbox.hours_of(:hours::jsonb, :channel::text, p.country, p.region, p.timezone) as hours
            offset 0
        ) as known
        offset 0
    ) as opening
),
-- What sources say now. In a simulation, what lies after the clock has not happened yet (known_until); live, a clock that is ahead of
-- the database's unsays nothing. What has ended is over.
stop as materialized (
    select s.message_id, s.channel, s.reason
    from handoff.send_stops s
    where s.message_id = any(:ids::uuid[])
        and (s.happened_at is null or s.happened_at <= :known_until::timestamptz)
        and (s.ends_at is null or s.ends_at > :clock::timestamptz)
    union all
    -- Another tool had sent it, and its history was read after this message was planned; the stops look at the person's other
    -- contacts, this at the contact itself, though raw.contacts may have lost it. A renamed step is still the step they had.
    select m.id, null, 'already_messaged'
    from outbox.message m
    where m.id = any(:ids::uuid[]) and exists (
        select from outbox.imported_send i
        where i.contact_id = m.contact_id and i.campaign = m.campaign
            and i.episode_on < m.episode_on + m.step_days
            and i.episode_on + i.step_days > m.episode_on
            and (i.step = m.step or i.step = (
                select listed.step ->> 'renamed_from'
                from outbox.definition d
                cross join lateral jsonb_array_elements(d.body -> 'steps') as listed (step)
                where d.hash = m.definition_hash and listed.step ->> 'key' = m.step
            ))
    )
    union all
    -- Who was forgotten since: what filled the message is gone, whatever address they have now.
    select m.id, null, 'forgotten'
    from outbox.message m
    where m.id = any(:ids::uuid[])
        and exists (select from outbox.erasure e where e.contact_id = m.contact_id and e.erased_at >= m.planned_at)
),
stopped as (
    select message_id, (array_agg(reason order by array_position(
        array[
            'forgotten', 'already_messaged', 'purchased_since', 'active_again', 'suppressed', 'no_email_consent', 'no_sms_consent',
            'invalid_address'
        ], reason
    ), reason))[1] as reason
    from stop
    where channel is null
    group by message_id
),
-- Subscriptions that a push service has ended are dropped; the newest of the others comes first.
subscribed as materialized (
    select c.id, jsonb_agg(known.subscription order by known.position) as subscriptions
    from candidate c
    cross join lateral jsonb_array_elements(
        case jsonb_typeof(c.subscriptions) when 'array' then c.subscriptions else '[]' end
    ) with ordinality as known (subscription, position)
    where :channel::text = 'webpush' and not exists (
        select from outbox.suppression gone
        where gone.channel = 'webpush' and gone.lifted_at is null and gone.suppressed_at <= :known_until::timestamptz
            and gone.address_hash = outbox.address_hash('webpush', known.subscription ->> 'endpoint')
    )
    group by c.id
),
-- Every channel that is left to a message, in its order, with what stands in the way of it.
way as materialized (
    select c.id, w.channel, w.position::smallint as position, a.address_hash, coalesce(
        case
            when w.channel = 'email' and c.email is null then 'invalid_address'
            when w.channel = 'sms' and c.phone is null then 'invalid_address'
            when w.channel = 'webpush' and :channel::text = 'webpush' and not exists (select from subscribed s where s.id = c.id)
                then 'no_reachable_channel'
            when w.channel = 'email' and not c.consent ? 'email' then 'no_email_consent'
            when w.channel = 'sms' and not c.consent ? 'sms' then 'no_sms_consent'
        end,
        (select min(s.reason) from stop s where s.message_id = c.id and s.channel = w.channel),
        (select 'suppressed' from outbox.suppression s
         where s.channel = w.channel and s.address_hash = a.address_hash and s.lifted_at is null
            and s.suppressed_at <= :known_until::timestamptz and (s.until is null or s.until > :clock::timestamptz) limit 1)
    ) as obstacle
    from candidate c
    cross join lateral unnest(c.channels) with ordinality as w (channel, position)
    cross join lateral (
        select case w.channel when 'email' then c.email_hash when 'sms' then c.phone_hash end as address_hash
    ) as a
    where w.position >= c.channel_no
),
clear as (
    select distinct on (id) id, channel, position, address_hash from way where obstacle is null order by id, position
),
blocked as (
    select distinct on (id) id, obstacle from way order by id, position desc
),
-- Marketing messages of the last seven days of the person's own calendar, whichever system sent them; what may have left counts.
touched as (
    select c.id, array_agg((t.sent_at at time zone c.own_zone)::date order by t.sent_at desc) as days
    from candidate c
    cross join lateral (
        select listed.sent_at
        from handoff.marketing_touches listed
        where listed.contact_id = c.contact_id
            and listed.sent_at >= ((:clock::timestamptz at time zone c.own_zone)::date - 6)::timestamp at time zone c.own_zone
                - interval '1 hour'
            and listed.sent_at < ((:clock::timestamptz at time zone c.own_zone)::date + 1)::timestamp at time zone c.own_zone
        offset 0
    ) as t
    -- By the date itself: where clocks go back over midnight a day has two of them, and at time zone takes the second.
    where (t.sent_at at time zone c.own_zone)::date
        between (:clock::timestamptz at time zone c.own_zone)::date - 6 and (:clock::timestamptz at time zone c.own_zone)::date
    group by c.id
),
-- The caps' next free day: tomorrow where today is full, otherwise a week after the touch that fills the seven days.
capped as (
    select c.id, c.own_zone, greatest(
        case when t.days[:per_day::integer] = (:clock::timestamptz at time zone c.own_zone)::date then t.days[:per_day::integer] + 1 end,
        t.days[:per_7_days::integer] + 7
    ) as free_on
    from candidate c
    join touched t using (id)
),
-- Who is not among the contacts at this moment may be there again when the shop's load is through: that settles nothing.
missing as (
    select c.id
    from candidate c
    left join stopped on stopped.message_id = c.id
    where not c.is_known and coalesce(stopped.reason, '') in ('', 'no_email_consent', 'no_sms_consent', 'invalid_address')
),
judged as materialized (
    select c.*, missing.id is not null as is_missing, clear.position, clear.address_hash, subscribed.subscriptions as live_subscriptions, place.open_at, place.close_at,
        case
            when :clock::timestamptz >= c.not_after then 'expired'
            when missing.id is not null or stopped.reason = 'being_sent' then 'deferred'
            when stopped.reason is not null or clear.id is null then 'skipped'
            when c.coupon_grant_id is not null and code.is_good is null then 'skipped'
            when clear.channel <> :channel::text then 'moved'
            when capped.free_on is not null then 'deferred'
            when place.open_at is distinct from :clock::timestamptz then 'deferred'
            else 'open'
        end as verdict,
        case
            when :clock::timestamptz >= c.not_after then coalesce(c.reason, 'too_late')
            when missing.id is not null then 'invalid_address'
            when stopped.reason = 'being_sent' then 'already_messaged'
            when stopped.reason is not null then stopped.reason
            when clear.id is null then blocked.obstacle
            when c.coupon_grant_id is not null and code.is_good is null then 'coupon_expired'
            when clear.channel <> :channel::text then c.reason
            when capped.free_on is not null then 'frequency_cap'
            when place.open_at is distinct from :clock::timestamptz then 'quiet_hours'
        end as why,
        -- A message that can never go in time waits for its end, and expires with the reason it waited for.
        least(c.not_after, case
            when missing.id is not null or stopped.reason = 'being_sent' then :clock::timestamptz + interval '1 hour'
            when capped.free_on is not null then (capped.free_on + :send_at::time) at time zone c.own_zone
            else coalesce(place.open_at, c.not_after)
        end) as later
    from candidate c
    left join clear using (id)
    left join blocked using (id)
    left join capped using (id)
    left join subscribed using (id)
    left join stopped on stopped.message_id = c.id
    left join missing on missing.id = c.id
    left join lateral (
        select true as is_good
        from outbox.coupon_grant g
        where g.id = c.coupon_grant_id and g.released_at is null and g.valid_until > :clock::timestamptz
        offset 0
    ) as code on true
    left join place on (place.timezone, place.country, place.region) is not distinct from (c.timezone, c.country, c.region)
),
-- Of two messages to one person in one claim the later one stays where it is: the next claim judges it with the first one counted.
settled as materialized (
    select j.*,
        1 + coalesce((select max(a.attempt_no) from outbox.attempt a where a.message_id = j.id), 0) as attempt_no,
        case
            when verdict = 'open' and 1 < row_number() over (partition by verdict, person_id order by not_before, id) then 'twin'
            else verdict
        end as final
    from judged j
),
moved as (
    update outbox.message m set
        state = case s.final when 'open' then 'sending' when 'deferred' then 'planned' when 'moved' then 'planned' else s.final end,
        reason = s.why,
        channel_no = case when s.is_missing then m.channel_no else coalesce(s.position, m.channel_no) end,
        not_before = case s.final when 'deferred' then s.later else m.not_before end,
        closed_at = case when s.final in ('skipped', 'expired') then :clock::timestamptz end
    from settled s
    where m.id = s.id and s.final <> 'twin'
    returning m.id
),
opened as (
    insert into outbox.attempt (
        message_id, attempt_no, channel, address_hash, worker, opened_at, lease_until, consent
    )
    select s.id, s.attempt_no, :channel::text, s.address_hash, :worker, :clock::timestamptz, clock_timestamp() + :lease::interval,
        case when :channel::text = 'webpush' then (
            -- Whoever let a browser take notifications said yes there: which ones, and since when.
            select jsonb_build_object('subscriptions', jsonb_agg(jsonb_build_object(
                'address_hash', encode(outbox.address_hash('webpush', listed.one ->> 'endpoint'), 'hex'), 'at', listed.one -> 'subscribed_at'
            ) order by listed.position))
            from jsonb_array_elements(s.live_subscriptions) with ordinality as listed (one, position)
        ) else coalesce(s.consent_now -> :channel::text, '{}') end || jsonb_build_object('checked_at', :clock::timestamptz)
    from settled s
    where s.final = 'open'
)
select s.id, s.final as verdict, s.why as reason, s.attempt_no, s.campaign, s.step, s.merge_fields, s.first_name, s.email, s.phone,
    s.live_subscriptions as subscriptions, least(s.not_after, s.close_at) as deliver_before
from settled s
order by s.not_before, s.id;

-- name: overdue(clock, mode)
-- What is past its end, locked; what another worker holds is its own to judge, and is passed over: two that expire side by side never wait
-- for each other.
select m.id
from outbox.message m
join outbox.run r using (run_id)
where r.mode = :mode and m.state = 'planned' and m.not_before <= :clock and m.not_after <= :clock
order by m.id
for update of m skip locked;

-- name: expire(ids, clock)!
-- What is past its end is over, whether or not its channel can be served.
update outbox.message m
set state = 'expired', reason = coalesce(m.reason, 'too_late'), closed_at = :clock
where m.id = any(:ids::uuid[]);

-- name: release_grants(ids, clock)$
-- Codes of messages that provably never left go back to their pools; the others stay with their owner. Answers how many.
with released as (
    update outbox.coupon_grant g
    set released_at = greatest(:clock, g.granted_at)
    from outbox.message m
    where m.id = any(:ids::uuid[]) and g.id = m.coupon_grant_id and g.released_at is null
        and m.state in ('skipped', 'expired', 'rejected')
        and not exists (
            select from outbox.attempt a where a.message_id = m.id and a.outcome not in ('not_sent', 'rejected')
        )
    returning g.id, g.contact_id, g.promotion, g.code, g.campaign, g.step, m.reason
), told as (
    insert into outbox.contact_event (contact_id, name, payload, occurred_at, caused_by)
    select contact_id, 'coupon_released', jsonb_build_object(
        'promotion', promotion, 'code', code, 'campaign', campaign, 'step', step, 'reason', reason
    ), :clock, id
    from released
    returning 1
)
select count(*) from told;

-- name: confirm_open(ids, worker, lease)
-- Which of these messages this worker still holds, with their leases renewed: one that was swept meanwhile is no longer its own.
update outbox.attempt
set lease_until = clock_timestamp() + :lease::interval
where message_id = any(:ids::uuid[]) and worker = :worker and outcome = 'open'
returning message_id;

-- name: extend_attempts(workers, lease)!
-- A sign of life for everything these workers have under way.
update outbox.attempt
set lease_until = clock_timestamp() + :lease::interval
where outcome = 'open' and worker = any(:workers::text[]);

-- name: sweep_stale(clock)
-- Open attempts whose worker has given no sign of life: the provider may have been called, so their messages are in doubt.
with stale as (
    select message_id, attempt_no from outbox.attempt
    where outcome = 'open' and lease_until < clock_timestamp()
    order by message_id
    for update skip locked
), closed as (
    update outbox.attempt a
    set outcome = 'unknown', closed_at = greatest(:clock, a.opened_at), error_code = 'lease_expired'
    from stale s
    where a.message_id = s.message_id and a.attempt_no = s.attempt_no
    returning a.message_id
)
update outbox.message m
set state = 'in_doubt', reason = 'lease_expired'
from closed c
where m.id = c.message_id and m.state = 'sending'
returning m.id;
