-- What no writer may do, whoever it is: erase, or take a step that the states do not know.
create function outbox.refuse_erasure() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.% is a ledger: nothing is deleted from it', tg_table_name using errcode = 'restrict_violation';
end
$$;

do $$
declare
    ledger text;
begin
    for ledger in select tablename from pg_tables where schemaname = 'outbox' loop
        execute format('create trigger no_delete before delete on outbox.%I for each row execute function outbox.refuse_erasure()', ledger);
        execute format('create trigger no_truncate before truncate on outbox.%I for each statement execute function outbox.refuse_erasure()', ledger);
    end loop;
end
$$;

create function outbox.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.% is append-only: a row in it never changes', tg_table_name using errcode = 'restrict_violation';
end
$$;
create trigger append_only before update on outbox.decision for each row execute function outbox.refuse_change();
create trigger append_only before update on outbox.definition for each row execute function outbox.refuse_change();
create trigger append_only before update on outbox.template for each row execute function outbox.refuse_change();
create trigger append_only before update on outbox.contact_event for each row execute function outbox.refuse_change();

-- The transitions, as data: (table, from, to). A new row has its table's first state.
create table outbox.transition (
    ledger text not null,
    from_state text not null,
    to_state text not null,
    primary key (ledger, from_state, to_state)
);
insert into outbox.transition (ledger, from_state, to_state) values
    ('run', 'building', 'built'),
    ('run', 'building', 'failed'),
    ('run', 'building', 'abandoned'),
    ('run', 'built', 'building'),           -- the same holder builds again
    ('run', 'built', 'validated'),
    ('run', 'built', 'failed'),
    ('run', 'built', 'abandoned'),
    ('run', 'validated', 'building'),
    ('run', 'validated', 'enqueued'),
    ('run', 'validated', 'failed'),
    ('run', 'validated', 'abandoned'),
    ('message', 'planned', 'sending'),
    ('message', 'planned', 'skipped'),
    ('message', 'planned', 'expired'),
    ('message', 'sending', 'accepted'),
    ('message', 'sending', 'rejected'),
    ('message', 'sending', 'in_doubt'),
    ('message', 'sending', 'planned'),      -- provably not sent, or rejected with a channel left
    ('message', 'in_doubt', 'accepted'),
    ('message', 'in_doubt', 'rejected'),
    ('message', 'in_doubt', 'planned'),     -- released by a named operator, or proven not sent
    ('attempt', 'open', 'accepted'),
    ('attempt', 'open', 'not_sent'),
    ('attempt', 'open', 'rejected'),
    ('attempt', 'open', 'unknown'),
    ('attempt', 'unknown', 'accepted'),     -- only with evidence
    ('attempt', 'unknown', 'not_sent'),
    ('attempt', 'unknown', 'rejected'),
    ('notice', 'planned', 'sending'),
    ('notice', 'sending', 'accepted'),
    ('notice', 'sending', 'rejected'),
    ('notice', 'sending', 'in_doubt'),
    ('notice', 'sending', 'planned');

create function outbox.guard_state() returns trigger language plpgsql as $$
begin
    if not exists (
        select from outbox.transition t
        where t.ledger = tg_table_name and t.from_state = old.state and t.to_state = new.state
    ) then
        raise exception 'outbox.%: no way leads from % to %', tg_table_name, old.state, new.state
            using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;
-- A condition on the trigger costs a hundredth of calling it: rows that change no state never get there.
create trigger guard before update on outbox.run for each row
    when (new.state is distinct from old.state) execute function outbox.guard_state();
create trigger guard before update on outbox.message for each row
    when (new.state is distinct from old.state) execute function outbox.guard_state();
create trigger guard before update on outbox.notice for each row
    when (new.state is distinct from old.state) execute function outbox.guard_state();

create function outbox.refuse_beginning() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.%: a row begins in its first state, not as %', tg_table_name, to_jsonb(new) ->> tg_argv[0]
        using errcode = 'restrict_violation';
end
$$;
create trigger guard_first before insert on outbox.run for each row
    when (new.state <> 'building') execute function outbox.refuse_beginning('state');
create trigger guard_first before insert on outbox.message for each row
    when (new.state <> 'planned') execute function outbox.refuse_beginning('state');
create trigger guard_first before insert on outbox.notice for each row
    when (new.state <> 'planned') execute function outbox.refuse_beginning('state');
create trigger guard_first before insert on outbox.attempt for each row
    when (new.outcome <> 'open') execute function outbox.refuse_beginning('outcome');
create trigger guard_first before insert on outbox.notice_attempt for each row
    when (new.outcome <> 'open') execute function outbox.refuse_beginning('outcome');

create function outbox.guard_attempt() returns trigger language plpgsql as $$
begin
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
create trigger guard before update on outbox.attempt for each row execute function outbox.guard_attempt();

-- A notice's attempt is open, then closed for good.
create function outbox.guard_notice_attempt() returns trigger language plpgsql as $$
begin
    if old.outcome <> 'open' then
        raise exception 'outbox.notice_attempt: a closed attempt never changes' using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;
create trigger guard before update on outbox.notice_attempt for each row execute function outbox.guard_notice_attempt();

-- A code goes back to its pool only when its message provably never left, and is then nobody's for good.
create function outbox.guard_release() returns trigger language plpgsql as $$
begin
    if (to_jsonb(new) - 'released_at') is distinct from (to_jsonb(old) - 'released_at') or old.released_at is not null then
        raise exception 'outbox.coupon_grant: a grant can be released once, and nothing else of it changes'
            using errcode = 'restrict_violation';
    end if;
    if new.released_at is not null and exists (
        select from outbox.message m
        where m.coupon_grant_id = new.id and (
            m.state not in ('skipped', 'expired', 'rejected')
            or exists (select from outbox.attempt a where a.message_id = m.id and a.outcome not in ('not_sent', 'rejected'))
        )
    ) then
        raise exception 'outbox.coupon_grant: the message with this code may have left' using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;
create trigger guard before update on outbox.coupon_grant for each row execute function outbox.guard_release();

-- What a message says, to whom and for what is frozen with it.
create function outbox.refuse_thaw() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.message: what was decided is frozen' using errcode = 'restrict_violation';
end
$$;
create trigger frozen before update on outbox.message for each row
    when (
        (new.id, new.run_id, new.campaign, new.contact_id, new.episode_on, new.step, new.step_days, new.as_of, new.due_on, new.mode,
         new.channels, new.template_hash, new.merge_fields, new.variant, new.offer, new.coupon_grant_id, new.tag, new.consent,
         new.definition_hash, new.not_after, new.planned_at)
        is distinct from
        (old.id, old.run_id, old.campaign, old.contact_id, old.episode_on, old.step, old.step_days, old.as_of, old.due_on, old.mode,
         old.channels, old.template_hash, old.merge_fields, old.variant, old.offer, old.coupon_grant_id, old.tag, old.consent,
         old.definition_hash, old.not_after, old.planned_at)
    )
    execute function outbox.refuse_thaw();
