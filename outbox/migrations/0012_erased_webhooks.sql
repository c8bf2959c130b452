-- What is personal of one contact goes in two steps of one transaction: the webhooks, whose every body has to be read, before the freezing
-- lock is taken; the ledger under it. The first step opens the door of 0011_erasure.sql, the second goes through it and closes it.
drop function outbox.erase(text, text, timestamptz, text[], bytea[], jsonb);

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
