-- Columns that slipped past the guards. On the ways that every message goes nothing is called for them: conditions on triggers alone.

-- As in 0014_held_fast.sql; and who called, by which consent, belongs to what was attempted (it stays when a contact is forgotten:
-- 0011_erasure.sql). Of an attempt that is closed, in doubt included, nothing changes but on a way out of its outcome.
create or replace function outbox.guard_attempt() returns trigger language plpgsql as $$
begin
    if old.evidence ? 'text' then
        if to_jsonb(new) = to_jsonb(old) || jsonb_build_object('evidence', old.evidence - 'text')
            and outbox.is_erasing((select m.contact_id from outbox.message m where m.id = old.message_id))
        then
            return new;
        end if;
    end if;
    if (new.message_id, new.attempt_no, new.channel, new.address_hash, new.worker, new.consent, new.opened_at)
       is distinct from (old.message_id, old.attempt_no, old.channel, old.address_hash, old.worker, old.consent, old.opened_at) then
        raise exception 'outbox.attempt: what was attempted never changes' using errcode = 'restrict_violation';
    end if;
    if new.outcome is not distinct from old.outcome then
        if old.outcome <> 'open' then
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
drop trigger guard on outbox.attempt;
create trigger guard before update on outbox.attempt for each row
    when (not coalesce(
        old.outcome = 'open' and new.outcome = 'accepted' and old.evidence is null and new.evidence is null
        and (new.message_id, new.attempt_no, new.channel, new.worker, new.opened_at)
            = (old.message_id, old.attempt_no, old.channel, old.worker, old.opened_at)
        and new.address_hash is not distinct from old.address_hash
        and new.consent is not distinct from old.consent,
        false
    ))
    execute function outbox.guard_attempt();

-- Nor does a message change that was rejected, skipped or has expired: why and when belong to it as to one that was accepted.
create or replace function outbox.refuse_rewriting() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.message: what % never changes', case old.state when 'expired' then 'expired' else 'was ' || old.state end
        using errcode = 'restrict_violation';
end
$$;
drop trigger kept on outbox.message;
create trigger kept before update on outbox.message for each row
    when (
        (old.state = 'accepted' or (old.state in ('rejected', 'skipped', 'expired') and new.state = old.state))
        and (new.accepted_at, new.accepted_channel, new.reason, new.channel_no, new.not_before, new.closed_at)
        is distinct from (old.accepted_at, old.accepted_channel, old.reason, old.channel_no, old.not_before, old.closed_at)
    )
    execute function outbox.refuse_rewriting();

-- An opt-out says for which address, through which channel and why for good. While it holds, its end can be moved (by whom is kept with it,
-- and a list may know that it began earlier), and it can be lifted, once.
create function outbox.refuse_unsaying() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.suppression: its end is moved while it holds, and it is lifted once; nothing else of it changes'
        using errcode = 'restrict_violation';
end
$$;
create trigger guard before update on outbox.suppression for each row
    when (
        (new.id, new.channel, new.address_hash, new.reason, new.event_received_at)
            is distinct from (old.id, old.channel, old.address_hash, old.reason, old.event_received_at)
        or new.suppressed_at > old.suppressed_at
        or ((new.source, new.suppressed_at) is distinct from (old.source, old.suppressed_at) and new.until is not distinct from old.until)
        or (old.lifted_at is not null
            and (new.until, new.lifted_at) is distinct from (old.until, old.lifted_at))
    )
    execute function outbox.refuse_unsaying();
