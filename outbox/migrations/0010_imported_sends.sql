-- What another tool sent before Winback went live. Not in outbox.message: nothing here was decided, rendered or consented to by us.
create table outbox.imported_send (
    contact_id text not null,
    campaign text not null,
    step text not null,
    episode_on date not null,
    step_days integer not null check (step_days > 0),
    sent_on date not null check (sent_on >= episode_on),
    channel text check (channel in ('email', 'sms', 'webpush')),
    source text not null,
    imported_at timestamptz not null default now(),
    primary key (contact_id, campaign, step, episode_on)      -- as it is looked up: by contact and step
);
create trigger no_delete before delete on outbox.imported_send for each row execute function outbox.refuse_erasure();
create trigger no_truncate before truncate on outbox.imported_send for each statement execute function outbox.refuse_erasure();
create trigger append_only before update on outbox.imported_send for each row execute function outbox.refuse_change();

grant select on outbox.imported_send to winback_sender, winback_dbt, winback_analyst;
grant insert on outbox.imported_send to winback_sender;

-- A day as 2026-03-31, or null where the text is none: casting it would end the statement that looks for mistakes.
create function outbox.day_of(written text) returns date language sql immutable parallel safe as $$
    select case when written ~ '^(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' then
        case when right(written, 2)::integer <= extract(day from
            make_date(left(written, 4)::integer, substr(written, 6, 2)::integer, 1) + interval '1 month - 1 day')
        then written::date end
    end
$$;

-- A file is checked in a temporary table.
do $$
begin
    execute format('grant temporary on database %I to winback_sender', current_database());
end
$$;

comment on table outbox.imported_send is 'One row per step of an episode that another tool sent before Winback went live (winback import-history). Such a step is not sent again. Appended, never changed.';
comment on column outbox.imported_send.contact_id is 'The contact, whether or not raw.contacts has it.';
comment on column outbox.imported_send.campaign is 'The campaign, as its file calls it.';
comment on column outbox.imported_send.step is 'The step''s key.';
comment on column outbox.imported_send.episode_on is 'The day the contact''s clock started: as the file says, or the day of sending less the step''s days.';
comment on column outbox.imported_send.step_days is 'How long the step keeps a second episode away, as of a message: an episode that began so many days before or after counts as the same.';
comment on column outbox.imported_send.sent_on is 'The day the other tool sent it.';
comment on column outbox.imported_send.channel is 'Through which channel, where the file says so.';
comment on column outbox.imported_send.source is 'The name of the file.';
comment on column outbox.imported_send.imported_at is 'When it was read, in the database''s own time.';
