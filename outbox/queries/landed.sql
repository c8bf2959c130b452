-- Which days of raw.provider_events were read, and whose turn it is to read.

-- name: landed_days()
-- How many rows each day of raw.provider_events held when it was read last.
select day, calls from outbox.landed_day;

-- name: try_landed_lock(lock)$
-- Takes the lock of whoever reads raw.provider_events for this session, or answers false at once.
select pg_try_advisory_lock(:lock);

-- name: free_landed_lock(lock)$
-- Gives it back.
select pg_advisory_unlock(:lock);

-- name: is_everything_landed_due(name, period)$
-- Whether nothing of raw.provider_events was read yet, or all of its days were counted longer ago than that.
select not exists (select from outbox.landed_day)
    or not exists (select from outbox.watermark where name = :name and at > now() - :period::interval);

-- name: remember_landed(days, calls)!
-- Those days have been read, with so many rows.
insert into outbox.landed_day (day, calls) select * from unnest(:days::date[], :calls::bigint[])
on conflict (day) do update set calls = excluded.calls;
