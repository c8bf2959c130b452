-- A provider that asks to be left alone asks everybody who works for us, not only the process that it told.
create table outbox.cooldown (
    channel text not null check (channel in ('email', 'sms', 'webpush')),
    mode text not null check (mode in ('live', 'simulated')),
    until timestamptz not null,             -- business time
    primary key (channel, mode)
);
create trigger no_delete before delete on outbox.cooldown for each row execute function outbox.refuse_erasure();
create trigger no_truncate before truncate on outbox.cooldown for each statement execute function outbox.refuse_erasure();
grant select on outbox.cooldown to winback_sender, winback_dbt, winback_analyst;
grant insert, update on outbox.cooldown to winback_sender;

comment on table outbox.cooldown is 'One row per channel and mode of runs whose provider has asked to be left alone.';
comment on column outbox.cooldown.until is 'Before it nothing more is claimed for the provider, by whichever process; business time, an hour after it was asked at most.';
