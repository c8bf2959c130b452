-- A report of failure confirms only an answer that its provider gave about a message that it had taken: such an attempt has the provider's id,
-- whatever it was failed for. One that was spared because another was refused for the account's sake never reached a provider, and stands for
-- no report: a text that another attempt had left in doubt would be sent a second time.
create or replace function outbox.is_proof(kind text, message_id uuid, channel text) returns boolean
language sql stable
as $$
    select is_proof.kind not in ('failed', 'dropped', 'unknown') or not exists (
        select from outbox.attempt a
        where a.message_id = is_proof.message_id and a.channel = is_proof.channel and a.outcome = 'not_sent'
            and a.provider_message_id is not null
            and a.evidence ->> 'source' is distinct from 'operator'
    )
$$;
