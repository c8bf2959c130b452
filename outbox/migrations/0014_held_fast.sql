-- What the guards still let through: a rewritten acceptance, evidence that says nothing, and a table of ways that could be emptied.

-- A message that was accepted never changes again; what is personal in it can be erased (0011_erasure.sql: merge_fields and consent).
-- By its name it comes after the guard of the states, which says more of a step that does not exist.
create function outbox.refuse_rewriting() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.message: what was accepted never changes' using errcode = 'restrict_violation';
end
$$;
create trigger kept before update on outbox.message for each row
    when (
        old.state = 'accepted'
        and (new.accepted_at, new.accepted_channel, new.reason, new.channel_no, new.not_before, new.closed_at)
        is distinct from (old.accepted_at, old.accepted_channel, old.reason, old.channel_no, old.not_before, old.closed_at)
    )
    execute function outbox.refuse_rewriting();

-- As in 0013_reported_after_release.sql; and evidence says where it comes from, a person's word whose it is.
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
    elsif old.outcome = 'unknown' and coalesce(btrim(new.evidence ->> 'source'), '') = '' then
        raise exception 'outbox.attempt: unknown is left only with evidence that names its source' using errcode = 'restrict_violation';
    elsif old.outcome = 'unknown' and new.evidence ->> 'source' = 'operator' and coalesce(btrim(new.evidence ->> 'by'), '') = '' then
        raise exception 'outbox.attempt: unknown is left only with evidence that names the operator' using errcode = 'restrict_violation';
    elsif old.outcome = 'not_sent' and new.evidence ->> 'source' is distinct from 'webhook' then
        raise exception 'outbox.attempt: no way leads from not_sent to % but a provider''s report', new.outcome
            using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;

-- The ways between states only become more, and the zones that quiet hours go by are not lost.
create trigger append_only before update on outbox.transition for each row execute function outbox.refuse_change();
do $$
declare
    listed text;
begin
    foreach listed in array array['transition', 'time_zone', 'country_zone'] loop
        execute format('create trigger no_delete before delete on outbox.%I for each row execute function outbox.refuse_erasure()', listed);
        execute format('create trigger no_truncate before truncate on outbox.%I for each statement execute function outbox.refuse_erasure()', listed);
    end loop;
end
$$;
