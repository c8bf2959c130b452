-- What providers and people told us. Inserts only: the webhook role can neither read nor change a row.
create schema events;

-- Every call as it came, before anything is parsed.
create table events.webhook_call (
    call_id uuid primary key,
    provider text not null,
    received_at timestamptz not null,
    verdict text not null check (verdict in (
        'verified', 'unsigned', 'wrong_signature', 'stale', 'malformed', 'oversized'
    )),
    headers jsonb not null default '{}',    -- without credentials
    body bytea not null,
    body_sha256 bytea not null
);
create index webhook_call_received on events.webhook_call (received_at);

-- What carriers did with a message.
create table events.delivery_event (
    event_key text primary key,             -- provider and the provider's own event id: a replay adds nothing
    call_id uuid not null,
    provider text not null,
    channel text not null,
    message_id uuid,                        -- ours, as planted in the message; null where it is not there
    provider_message_id text,
    kind text not null check (kind in ('accepted', 'delivered', 'deferred', 'bounced', 'dropped', 'failed', 'unknown')),
    code text,
    detail text,                            -- the provider's words, addresses removed
    occurred_at timestamptz not null,
    received_at timestamptz not null
);
create index delivery_event_message on events.delivery_event (message_id, occurred_at);
create index delivery_event_received on events.delivery_event (received_at);

-- What people did with a message.
create table events.engagement_event (
    event_key text primary key,
    call_id uuid not null,
    provider text not null,
    channel text not null,
    message_id uuid,
    provider_message_id text,
    kind text not null check (kind in ('opened', 'clicked', 'unsubscribed', 'complained', 'unknown')),
    is_machine boolean not null default false,
    url text,
    occurred_at timestamptz not null,
    received_at timestamptz not null
);
create index engagement_event_message on events.engagement_event (message_id, occurred_at);
create index engagement_event_received on events.engagement_event (received_at);

-- What people asked for: the newest row of a channel and address (or contact) counts.
create table events.preference (
    event_key text primary key,
    call_id uuid,
    message_id uuid,                        -- the message whose link was used
    channel text not null,
    address_hash bytea,                     -- inbound texts: who wrote; hashed like outbox.address_hash
    kind text not null check (kind in ('unsubscribed', 'resubscribed', 'paused')),
    until timestamptz,                      -- paused: until when
    source text not null,                   -- one_click, preference_page, sms_keyword, complaint, provider
    occurred_at timestamptz not null,
    received_at timestamptz not null
);
create index preference_message on events.preference (message_id);
create index preference_address on events.preference (channel, address_hash);
create index preference_received on events.preference (received_at);

create function events.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events.% only ever grows', tg_table_name using errcode = 'restrict_violation';
end
$$;
do $$
declare
    grown text;
begin
    for grown in select tablename from pg_tables where schemaname = 'events' loop
        execute format('create trigger only_grows before update or delete on events.%I for each row execute function events.refuse_change()', grown);
        execute format('create trigger no_truncate before truncate on events.%I for each statement execute function events.refuse_change()', grown);
    end loop;
end
$$;

grant usage on schema events to winback_webhook, winback_dbt, winback_sender, winback_analyst;
grant insert on all tables in schema events to winback_webhook;
grant select on events.delivery_event, events.engagement_event, events.preference to winback_dbt, winback_sender, winback_analyst;

-- Inbound texts name a phone: the webhook role hashes it and keeps no address.
grant usage on schema outbox to winback_webhook;
grant execute on function outbox.address_hash(text, text) to winback_webhook;
