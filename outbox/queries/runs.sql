-- Runs, their days and what they went by. Leases are in the database's own time.

-- name: store_definition(hash, kind, body)!
-- Keeps a definition under its hash; known ones stay as they are.
insert into outbox.definition (hash, kind, body) values (:hash, :kind, :body::jsonb)
on conflict do nothing;

-- name: store_template(template_hash, subject, html, text, sms, push)!
-- Keeps a compiled template under its hash.
insert into outbox.template (template_hash, subject, html, text, sms, push)
values (:template_hash, :subject, :html, :text, :sms, :push::jsonb)
on conflict do nothing;

-- name: find_template(template_hash)^
-- One compiled template.
select template_hash, subject, html, text, sms, push from outbox.template where template_hash = :template_hash;

-- name: find_definition(hash)$
-- The body of one definition.
select body from outbox.definition where hash = :hash;

-- name: known_definitions()
-- Every campaign definition that a run ever went by.
select body from outbox.definition where kind = 'campaign';

-- name: live_steps(since)
-- How many people are in the middle of each step: not sent yet, in doubt, or sent so recently that a later step may still follow.
-- (Three branches, an index each: one condition with or would read every message there is.)
select m.campaign, m.step, count(*) as contacts
from (
    select campaign, step from outbox.message where state = 'planned'
    union all
    select campaign, step from outbox.message where state in ('sending', 'in_doubt')
    union all
    select campaign, step from outbox.message where state = 'accepted' and as_of >= :since::date
) as m
group by m.campaign, m.step;

-- name: business_now()$
-- The newest business time of a simulated ledger; the database's time of a live one, or before the first run.
select coalesce(
    (
        select greatest(newest.clock, (select max(m.accepted_at) from outbox.message m))
        from (
            select max(d.clock) as clock
            from outbox.run_day d
            join outbox.run r using (run_id)
            where r.mode = 'simulated'
        ) as newest
        where newest.clock is not null
    ),
    clock_timestamp()
);

-- name: runs_of_another_mode(mode)$
-- Whether this ledger knows runs of the other kind: what a simulation did to people must not count for real, nor the reverse.
select exists (select from outbox.run where mode <> :mode);

-- name: database_now()$
-- The database's time, by which leases are judged and live runs are clocked.
select clock_timestamp();

-- name: try_run_lock(lock)$
-- Takes the lock of the building site for this session, or answers false at once. It ends with the session, however that ends.
select pg_try_advisory_lock(:lock);

-- name: free_run_lock(lock)$
-- Gives the building site's lock back.
select pg_advisory_unlock(:lock);

-- name: open_run_of_anyone()^
-- The run between build and enqueue, if there is one, and how long its holder still has.
select r.run_id, r.holder, r.state, r.lease_until > clock_timestamp() as is_alive,
    extract(epoch from r.lease_until - clock_timestamp())::float8 as seconds_left,
    (select array_agg(d.as_of order by d.as_of) from outbox.run_day d where d.run_id = r.run_id) as days
from outbox.run r
where r.state in ('building', 'built', 'validated')
for update of r;

-- name: insert_run(mode, clock, definition_hash, target, holder, lease)$
-- Opens a run. The unique index on open runs lets one in at a time.
insert into outbox.run (mode, clock, definition_hash, target, holder, lease_until)
values (:mode, :clock, :definition_hash, :target, :holder, clock_timestamp() + :lease::interval)
returning run_id;

-- name: insert_run_days(run_id, days, clocks)!
-- The days of a run, each with the clock after which nothing is known to it.
insert into outbox.run_day (run_id, as_of, clock)
select :run_id, day.as_of, day.clock
from unnest(:days::date[], :clocks::timestamptz[]) as day (as_of, clock);

-- name: reenter_run(run_id, lease)!
-- The same holder builds again: whatever was built or validated no longer counts.
update outbox.run
set state = 'building', lease_until = clock_timestamp() + :lease::interval,
    request_count = null, request_checksum = null, verdict = '{}'
where run_id = :run_id;

-- name: extend_lease(run_id, lease)!
-- A sign of life of whoever is at work on the run.
update outbox.run
set lease_until = greatest(lease_until, clock_timestamp() + :lease::interval)
where run_id = :run_id and state in ('building', 'built', 'validated');

-- name: mark_built(run_id, lease)!
-- The hand-off is complete; the gate may judge it.
update outbox.run set state = 'built', lease_until = clock_timestamp() + :lease::interval
where run_id = :run_id and state = 'building';

-- name: mark_validated(run_id, lease, request_count, request_checksum, verdict)!
-- What the gate saw and said: enqueue takes exactly that.
update outbox.run
set state = 'validated', lease_until = clock_timestamp() + :lease::interval,
    request_count = :request_count, request_checksum = :request_checksum, verdict = :verdict::jsonb
where run_id = :run_id and state = 'built';

-- name: close_run(run_id, state, detail)!
-- Ends an open run as failed or abandoned; one that has ended stays as it is.
update outbox.run set state = :state, detail = :detail, closed_at = clock_timestamp()
where run_id = :run_id and state in ('building', 'built', 'validated');

-- name: find_run(run_id)^
-- One run with its days.
select r.run_id, r.mode, r.clock, r.definition_hash, r.target, r.holder, r.state, r.request_count, r.request_checksum,
    r.verdict, r.enqueued, r.detail,
    (select array_agg(d.as_of order by d.as_of) from outbox.run_day d where d.run_id = r.run_id) as days
from outbox.run r
where r.run_id = :run_id;

-- name: run_of_day(as_of)$
-- The newest enqueued run of a day.
select r.run_id
from outbox.run r
join outbox.run_day d using (run_id)
where d.as_of = :as_of and r.state = 'enqueued'
order by r.created_at desc
limit 1;

-- name: newest_simulated_run()$
-- The simulated run that was enqueued last.
select run_id from outbox.run where state = 'enqueued' and mode = 'simulated' order by created_at desc limit 1;
