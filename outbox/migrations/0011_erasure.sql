-- The one door by which something leaves the ledger: what is personal of one contact, when that is asked for (GDPR, article 17). Ids, days,
-- states, codes and keyed hashes stay, so that every count still adds up and an opt-out still holds.

create table outbox.erasure (
    erasure_id uuid primary key default outbox.new_id(),
    contact_id text not null,
    asked_by text not null check (btrim(asked_by) <> ''),
    erased_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    transaction_id xid8 not null default pg_current_xact_id(),     -- the door is open in this transaction alone
    counts jsonb                            -- what was erased, by kind; null while the door is open
);
create index erasure_contact on outbox.erasure (contact_id, erased_at);

create trigger no_delete before delete on outbox.erasure for each row execute function outbox.refuse_erasure();
create trigger no_truncate before truncate on outbox.erasure for each statement execute function outbox.refuse_erasure();
create trigger append_only before update on outbox.erasure for each row
    when (old.counts is not null or (to_jsonb(new) - 'counts') is distinct from (to_jsonb(old) - 'counts'))
    execute function outbox.refuse_change();

comment on table outbox.erasure is 'One row per time that a contact was forgotten: who asked, when, and how much was erased. Nothing personal but the id.';
comment on column outbox.erasure.asked_by is 'Who forgot them: a name or a ticket.';
comment on column outbox.erasure.erased_at is 'In the run''s clock, as all times of the ledger.';
comment on column outbox.erasure.recorded_at is 'Database time.';
comment on column outbox.erasure.transaction_id is 'The transaction that erased: the guards let nothing else through.';
comment on column outbox.erasure.counts is 'What was erased, by kind -> rows.';

grant select on outbox.erasure to winback_sender, winback_dbt, winback_analyst;

-- Whether outbox.erase() is at work on a contact (or, for null, on anybody) in this very transaction.
create function outbox.is_erasing(whom text) returns boolean language sql stable set search_path = pg_catalog as $$
    select exists (
        select from outbox.erasure e
        where e.transaction_id = pg_current_xact_id_if_assigned() and e.counts is null and (whom is null or e.contact_id = whom)
    )
$$;

-- A guard's argument is what a row of its table looks like when it is erased; any other change is still refused.
create or replace function outbox.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_nargs = 1 then
        if outbox.is_erasing(to_jsonb(old) ->> 'contact_id') and to_jsonb(new) = to_jsonb(old) || tg_argv[0]::jsonb then
            return new;
        end if;
    end if;
    raise exception 'outbox.% is append-only: a row in it never changes', tg_table_name using errcode = 'restrict_violation';
end
$$;
drop trigger append_only on outbox.decision;
create trigger append_only before update on outbox.decision for each row execute function outbox.refuse_change('{"seen": {}}');

-- What fills the template goes. The evidence of a consent goes where no provider was ever called: nothing has to be answered for there.
create or replace function outbox.refuse_thaw() returns trigger language plpgsql as $$
begin
    if outbox.is_erasing(old.contact_id) and new.state <> 'planned'
        and to_jsonb(new) = to_jsonb(old) || jsonb_build_object('merge_fields', '{}'::jsonb, 'consent', new.consent)
        and (
            new.consent = old.consent
            or (new.consent = '{}' and not exists (select from outbox.attempt a where a.message_id = old.id))
        )
    then
        return new;
    end if;
    raise exception 'outbox.message: what was decided is frozen' using errcode = 'restrict_violation';
end
$$;

-- As in 0002_guards.sql; and the words that an operator gave as evidence, which may speak of a person, can be erased.
create or replace function outbox.guard_attempt() returns trigger language plpgsql as $$
begin
    if old.evidence ? 'text' then
        if to_jsonb(new) = to_jsonb(old) || jsonb_build_object('evidence', old.evidence - 'text')
            and outbox.is_erasing((select m.contact_id from outbox.message m where m.id = old.message_id))
        then
            return new;
        end if;
    end if;
    if (new.message_id, new.attempt_no, new.channel, new.address_hash, new.opened_at)
       is distinct from (old.message_id, old.attempt_no, old.channel, old.address_hash, old.opened_at) then
        raise exception 'outbox.attempt: what was attempted never changes' using errcode = 'restrict_violation';
    end if;
    if new.outcome is not distinct from old.outcome then
        if old.outcome not in ('open', 'unknown') then
            raise exception 'outbox.attempt: a closed attempt never changes' using errcode = 'restrict_violation';
        end if;
    elsif not exists (
        select from outbox.transition t
        where t.ledger = 'attempt' and t.from_state = old.outcome and t.to_state = new.outcome
    ) then
        raise exception 'outbox.attempt: no way leads from % to %', old.outcome, new.outcome using errcode = 'restrict_violation';
    elsif old.outcome = 'unknown' and new.evidence is null then
        raise exception 'outbox.attempt: unknown is left only with evidence' using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;

-- What is personal of one contact goes in two steps of one transaction: the webhooks, whose every body has to be read, before the freezing
-- lock is taken; the ledger under it. The first step opens the door, the second goes through it and closes it.

-- Blanks headers and body of every webhook that names the contact and answers how many. addresses: as the raw tables have them; they are kept
-- nowhere. hashes: of all addresses ever known. A body goes whole, with what it held of others: what it said of them has long been read into
-- rows of its own. So nothing is sought that many people share: SendGrid has one X-Message-Id for a whole request, a text has its own.
create function outbox.erase_calls(whom text, asked_by text, at timestamptz, addresses text[], hashes bytea[]) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set bytea_output = 'hex' as $$
declare
    marks text[];
    patterns text[];
    calls bigint;
begin
    if exists (select from unnest(addresses) as given (address) where length(btrim(given.address)) < 6) then
        raise exception 'outbox.erase_calls: an address of fewer than 6 characters would be found in webhooks of others'
            using errcode = 'invalid_parameter_value';
    end if;
    insert into outbox.erasure (contact_id, asked_by, erased_at) values (whom, asked_by, at);

    -- A pattern is tried where its mark is found. An address begins where no other could have begun before it: after no letter, digit or
    -- sign of a name (a plus is one, but a blank in a form), unless that ends an escape of JSON (its backslash doubled by encode) or a form
    -- (%2b is a plus of a name); and ends where neither its number nor its domain goes on.
    select
        array_agg(sought.mark),
        array_agg(                          -- null, of an id: it is found wherever it stands
            sought.before || regexp_replace(sought.mark, '([^[:alnum:]])', '\\\1', 'g') || '(?![a-z0-9_-]|[.][a-z0-9])'
        )
    into marks, patterns
    from (
        select m.id::text as mark, null as before from outbox.message m where m.contact_id = whom
        union
        select lower(a.provider_message_id), null
        from outbox.message m
        join outbox.attempt a on a.message_id = m.id
        where m.contact_id = whom and a.channel = 'sms' and length(a.provider_message_id) >= 10
        union
        select form.written, form.before
        from unnest(addresses) as given (address)
        cross join lateral (select lower(btrim(given.address)) as address) as plain
        cross join lateral (values
            (plain.address, '((?<![a-z0-9._+-])|(?<=[\\][nrtbf])|(?<=[\\]u[0-9a-f]{4}))'),
            (
                replace(replace(plain.address, '@', '%40'), '+', '%2b'),
                '((?<![a-z0-9._-])|(?<=%([013-9a-f][0-9a-f]|2[0-9ac-f])))'
            )
        ) as form (written, before)
    ) as sought;

    update events.webhook_call c
    set headers = '{}', body = '', body_sha256 = sha256(''), erased_at = clock_timestamp()
    where c.erased_at is null and c.call_id in (
        select e.call_id from events.delivery_event e join outbox.message m on m.id = e.message_id where m.contact_id = whom
        union
        select e.call_id from events.engagement_event e join outbox.message m on m.id = e.message_id where m.contact_id = whom
        union
        select p.call_id from events.preference p join outbox.message m on m.id = p.message_id where m.contact_id = whom
        union
        select p.call_id from events.preference p where p.address_hash = any(hashes) and p.call_id is not null
        union
        select said.call_id
        from (
            select kept.call_id, lower(encode(kept.body, 'escape')) as body
            from events.webhook_call kept
            where kept.erased_at is null
            offset 0                        -- one lowering a body, however many marks are sought in it
        ) as said
        where exists (
            select from unnest(marks, patterns) as sought (mark, pattern)
            where case when position(sought.mark in said.body) > 0 then coalesce(said.body ~ sought.pattern, true) end
        )
    );
    get diagnostics calls = row_count;
    return calls;
end
$$;
comment on function outbox.erase_calls is 'Opens the door for one contact and blanks the webhooks that name them; outbox.erase() in the same transaction goes on.';

-- Erases the rest of what is personal of the contact in outbox and events, closes the door with the audit, and answers what was erased, by kind.
-- done: what the caller has done in the same transaction, by kind, for the audit: the webhooks among it.
create function outbox.erase(whom text, done jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    door uuid;
    told jsonb;
    decisions bigint;
    messages bigint;
    attempts bigint;
    deliveries bigint;
    engagements bigint;
begin
    select e.erasure_id into door
    from outbox.erasure e
    where e.transaction_id = pg_current_xact_id_if_assigned() and e.counts is null and e.contact_id = whom;
    if door is null then
        raise exception 'outbox.erase: outbox.erase_calls() opens the door first, in the same transaction'
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    update outbox.decision d set seen = '{}' where d.contact_id = whom and d.seen <> '{}';
    get diagnostics decisions = row_count;

    update outbox.message m
    set merge_fields = '{}', consent = case when tried.at_all then m.consent else '{}' end
    from outbox.message same
    cross join lateral (select exists (select from outbox.attempt a where a.message_id = same.id) as at_all) as tried
    where same.id = m.id and m.contact_id = whom and m.state <> 'planned'
        and (m.merge_fields <> '{}' or (m.consent <> '{}' and not tried.at_all));
    get diagnostics messages = row_count;

    update outbox.attempt a set evidence = a.evidence - 'text'
    from outbox.message m
    where m.id = a.message_id and m.contact_id = whom and a.evidence ? 'text';
    get diagnostics attempts = row_count;

    update events.delivery_event e set detail = null
    from outbox.message m
    where m.id = e.message_id and m.contact_id = whom and e.detail is not null;
    get diagnostics deliveries = row_count;

    update events.engagement_event e set url = null
    from outbox.message m
    where m.id = e.message_id and m.contact_id = whom and e.url is not null;
    get diagnostics engagements = row_count;

    told := done || jsonb_build_object(
        'decisions', decisions, 'messages', messages, 'attempts', attempts, 'delivery_events', deliveries,
        'engagement_events', engagements
    );
    update outbox.erasure e set counts = told where e.erasure_id = door;
    return told;
end
$$;
comment on function outbox.erase is 'Erases what is personal of one contact and writes outbox.erasure. The only way to do so; the sender role''s alone.';

revoke execute on function outbox.erase_calls(text, text, timestamptz, text[], bytea[]), outbox.erase(text, jsonb) from public;
grant execute on function outbox.erase_calls(text, text, timestamptz, text[], bytea[]), outbox.erase(text, jsonb) to winback_sender;
