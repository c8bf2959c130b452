-- Whether a report proves that an attempt at a message on a channel had left. A provider that takes a message only to fail it at once says so
-- twice: in its answer, by which the attempt is not_sent, and by a report of `failed` (or `dropped`, or of a kind that we do not know) with our
-- id. That report confirms the answer and proves nothing of any other attempt. Where nothing but a person's word stands against it
-- (winback release), it proves that the provider had the message.
create function outbox.is_proof(kind text, message_id uuid, channel text) returns boolean
language sql stable
as $$
    select is_proof.kind not in ('failed', 'dropped', 'unknown') or not exists (
        select from outbox.attempt a
        where a.message_id = is_proof.message_id and a.channel = is_proof.channel and a.outcome = 'not_sent'
            and a.evidence ->> 'source' is distinct from 'operator'
    )
$$;
comment on function outbox.is_proof is 'Whether a report of this kind proves that the message had left on this channel: not where it only confirms the provider''s own answer that it had not.';
