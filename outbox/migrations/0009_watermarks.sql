-- How far what came back has been folded in.
create table outbox.watermark (
    name text primary key,
    at timestamptz not null                 -- database time: everything stored before it has been folded
);
create function outbox.refuse_return() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.watermark: what was folded stays folded' using errcode = 'restrict_violation';
end
$$;
create trigger only_on before update on outbox.watermark for each row
    when (new.at < old.at or new.name <> old.name) execute function outbox.refuse_return();

-- Webhooks that landed by other means carry the time at which somebody else received them, and may land days later: a day is read
-- again whenever it holds more rows than when it was read last.
create table outbox.landed_day (
    day date primary key,                   -- of received_at, in UTC
    calls bigint not null check (calls >= 0)
);

create trigger no_delete before delete on outbox.watermark for each row execute function outbox.refuse_erasure();
create trigger no_truncate before truncate on outbox.watermark for each statement execute function outbox.refuse_erasure();
create trigger no_delete before delete on outbox.landed_day for each row execute function outbox.refuse_erasure();
create trigger no_truncate before truncate on outbox.landed_day for each statement execute function outbox.refuse_erasure();
grant select on outbox.watermark, outbox.landed_day to winback_sender, winback_dbt, winback_analyst;
grant insert, update on outbox.watermark, outbox.landed_day to winback_sender;

comment on table outbox.watermark is 'One row per kind of thing that is folded in.';
comment on column outbox.watermark.at is 'Everything that was stored before it has been folded.';
comment on table outbox.landed_day is 'One row per day of raw.provider_events, by received_at in UTC, that has been read.';
comment on column outbox.landed_day.calls is 'How many rows the day held when it was read last. More now: it is read again.';
comment on column outbox.suppression.reason is 'unsubscribed, complained, bounced, undeliverable (soft bounces, several within a while), stopped, invalid, gone, operator or imported.';
