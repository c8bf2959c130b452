-- A report of failure confirms only an answer that its provider gave about a message that it had taken: such an attempt has the provider's id,
-- or was failed for the account's sake, of which nobody keeps ids. An attempt that never reached a provider (unreachable, throttled, too
-- late) is reported by nobody: were it to stand for the report, a text that another attempt had left in doubt would be sent a second time.
create or replace function outbox.is_proof(kind text, message_id uuid, channel text) returns boolean
language sql stable
as $$
    select is_proof.kind not in ('failed', 'dropped', 'unknown') or not exists (
        select from outbox.attempt a
        where a.message_id = is_proof.message_id and a.channel = is_proof.channel and a.outcome = 'not_sent'
            and (a.provider_message_id is not null or a.error_code = 'misconfigured')
            and a.evidence ->> 'source' is distinct from 'operator'
    )
$$;

-- Who asked to be forgotten is never written to again: nothing lifts that, and nothing gives it an end.
create function outbox.refuse_remembering() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.suppression: what a person was forgotten with has no end' using errcode = 'restrict_violation';
end
$$;
create trigger forgotten before update on outbox.suppression for each row
    when (old.reason = 'forgotten' and (new.until, new.lifted_at) is distinct from (old.until, old.lifted_at))
    execute function outbox.refuse_remembering();
