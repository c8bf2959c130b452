-- A report of failure confirms the answer of the attempt whose id it names, and no other: of a text that was failed at once and handed over
-- again, with the answer lost, the failure of the second says that the second was taken. One that names no id is taken for the first's, for
-- the sake of a person who would have nothing otherwise.
drop function outbox.is_proof(text, uuid, text);
create function outbox.is_proof(kind text, message_id uuid, channel text, provider_message_id text) returns boolean
language sql stable
as $$
    select is_proof.kind not in ('failed', 'dropped', 'unknown') or not exists (
        select from outbox.attempt a
        where a.message_id = is_proof.message_id and a.channel = is_proof.channel and a.outcome = 'not_sent'
            and a.provider_message_id = coalesce(is_proof.provider_message_id, a.provider_message_id)
            and a.evidence ->> 'source' is distinct from 'operator'
    )
$$;
comment on function outbox.is_proof is 'Whether a report of this kind, with the id that its provider gave, proves that the message had left on this channel: not where it only confirms the provider''s own answer that it had not.';
