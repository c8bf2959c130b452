-- The ways that every message goes are told from the others before a guard is called: a condition costs a tenth of a function that looks
-- into a table. Every other change is judged as before.
drop trigger guard on outbox.message;
create trigger guard before update on outbox.message for each row
    when (
        new.state is distinct from old.state
        and not (old.state = 'planned' and new.state = 'sending')
        and not (old.state = 'sending' and new.state = 'accepted')
    )
    execute function outbox.guard_state();

drop trigger guard on outbox.attempt;
create trigger guard before update on outbox.attempt for each row
    when (not coalesce(
        old.outcome = 'open' and new.outcome = 'accepted' and old.evidence is null and new.evidence is null
        and (new.message_id, new.attempt_no, new.channel, new.opened_at) = (old.message_id, old.attempt_no, old.channel, old.opened_at)
        and new.address_hash is not distinct from old.address_hash,
        false
    ))
    execute function outbox.guard_attempt();
