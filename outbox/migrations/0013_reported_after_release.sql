-- An operator can be wrong (winback release), and so can we: a provider that reports of a message has it, whatever was believed. Two ways
-- more, for that alone: its attempt becomes accepted, and the message, which waited to be sent again, with it.
insert into outbox.transition (ledger, from_state, to_state) values
    ('message', 'planned', 'accepted'),
    ('attempt', 'not_sent', 'accepted');

-- As in 0011_erasure.sql; and not_sent is left only by a provider's own report.
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
    elsif old.outcome = 'not_sent' and new.evidence ->> 'source' is distinct from 'webhook' then
        raise exception 'outbox.attempt: no way leads from not_sent to % but a provider''s report', new.outcome
            using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;

create function outbox.refuse_unreported() returns trigger language plpgsql as $$
begin
    if not exists (select from outbox.attempt a where a.message_id = new.id and a.outcome = 'accepted') then
        raise exception 'outbox.message: no way leads from planned to accepted but a provider''s report'
            using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;
create trigger reported before update on outbox.message for each row
    when (old.state = 'planned' and new.state = 'accepted') execute function outbox.refuse_unreported();
