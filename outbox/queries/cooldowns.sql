-- Providers that want to be left alone for a while, as all processes know them.

-- name: cooldowns(clock, mode, longest)
-- Which channels rest at the clock, and until when. One that ends later than any rest lasts belongs to another day's simulation.
select channel, until
from outbox.cooldown
where mode = :mode and until > :clock and until <= :clock::timestamptz + :longest::interval;

-- name: keep_cooldown(channel, mode, until, clock, longest)!
-- A channel rests until then; what another process was told holds where it is longer, and is of this day.
insert into outbox.cooldown as known (channel, mode, until) values (:channel, :mode, :until)
on conflict (channel, mode) do update set until = excluded.until
where known.until < excluded.until or known.until > :clock::timestamptz + :longest::interval;
