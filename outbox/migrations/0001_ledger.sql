-- The ledger: what was decided, what cost money, what reached a person. Nothing here is ever deleted.
-- Business times are in the run's clock; only an attempt's lease is in the database's own time.
create schema outbox;
create extension if not exists btree_gist with schema public;

-- Campaign definitions, by hash. `campaign`: one file. `bundle`: which campaign files a run went by.
create table outbox.definition (
    hash text primary key,
    kind text not null check (kind in ('campaign', 'bundle')),
    body jsonb not null,
    stored_at timestamptz not null default now()
);

-- Compiled templates, by hash: with a message's merge_fields, what was said word for word.
create table outbox.template (
    template_hash text primary key,
    subject text,
    html text,
    text text,
    sms text,
    push jsonb,                             -- title, body, url, icon
    stored_at timestamptz not null default now()
);

create table outbox.run (
    run_id uuid primary key default gen_random_uuid(),
    mode text not null check (mode in ('live', 'simulated')),
    clock timestamptz not null,             -- the business time at which the run was started
    definition_hash text not null references outbox.definition (hash),   -- the bundle
    target text not null,                   -- the dbt target that builds it; enqueue takes prod alone
    holder text not null,                   -- who may go on with it: Airflow's run id, or the shell that began it
    state text not null default 'building' check (state in (
        'building',                         -- dbt is at work
        'built',                            -- building -> built: the hand-off is complete
        'validated',                        -- built -> validated: the gate has judged it, campaign by campaign
        'enqueued',                         -- validated -> enqueued: decisions, grants and messages are frozen
        'failed',                           -- building, built, validated -> failed: a task said no, or died
        'abandoned'                         -- the same -> abandoned: overtaken after its lease ran out
    )),
    lease_until timestamptz not null,       -- database time; after it another run may take the building site
    request_count bigint,                   -- what the gate validated: enqueue takes exactly this
    request_checksum text,
    verdict jsonb not null default '{}',    -- campaign -> passed | held, with the expectations that failed
    enqueued jsonb,                         -- what enqueue answered: a retried task is told the same
    detail text,                            -- why it failed, without people
    created_at timestamptz not null default now(),
    closed_at timestamptz
);
-- One run at a time between build and enqueue.
create unique index run_one_at_a_time on outbox.run ((true)) where state in ('building', 'built', 'validated');

create table outbox.run_day (
    run_id uuid not null references outbox.run,
    as_of date not null,
    clock timestamptz not null,             -- what was known at this day: nothing after it is seen
    primary key (run_id, as_of)
);
create index run_day_as_of on outbox.run_day (as_of);

-- The archive of cohorts.fct_decisions, append-only.
create table outbox.decision (
    run_id uuid not null references outbox.run,
    as_of date not null,
    contact_id text not null,
    campaign text not null,
    step text not null,
    episode_on date not null,
    due_on date not null,
    mode text not null check (mode in ('shadow', 'allowlist', 'live')),  -- shadow: decided, and nothing sent
    decision text not null check (decision in ('send', 'hold', 'skip', 'holdout')),
    reason text,
    reasons text[] not null default '{}',
    variant text,
    seen jsonb not null default '{}',       -- the values the decision saw
    definition_hash text not null references outbox.definition (hash),
    archived_at timestamptz not null,
    primary key (contact_id, campaign, step, as_of, run_id),
    check (decision = 'send' or reason is not null)
);
create index decision_run on outbox.decision (run_id);
create index decision_episode on outbox.decision (contact_id, campaign, episode_on);
create index decision_as_of on outbox.decision (as_of);

create table outbox.coupon_grant (
    id uuid primary key default gen_random_uuid(),
    promotion text not null,
    code text not null,
    contact_id text not null,
    campaign text not null,
    episode_on date not null,
    step text not null,
    as_of date not null,
    granted_at timestamptz not null,
    valid_until timestamptz not null,
    released_at timestamptz,
    check (released_at >= granted_at)
);
create unique index coupon_grant_code on outbox.coupon_grant (code) where released_at is null;
create unique index coupon_grant_step on outbox.coupon_grant (contact_id, campaign, episode_on, step) where released_at is null;
create index coupon_grant_promotion on outbox.coupon_grant (promotion, granted_at);

create table outbox.message (
    id uuid primary key default gen_random_uuid(),
    run_id uuid not null references outbox.run,
    campaign text not null,
    contact_id text not null,
    episode_on date not null,
    step text not null,
    step_days integer not null check (step_days > 0),
    as_of date not null,
    due_on date not null,
    mode text not null check (mode in ('allowlist', 'live')),     -- a campaign in shadow enqueues nothing
    channels text[] not null check (cardinality(channels) > 0),   -- frozen order
    channel_no smallint not null default 1,                       -- 1-based: which of them is tried now
    template_hash text not null references outbox.template,
    merge_fields jsonb not null,            -- no name, no address
    variant text,
    offer text,
    coupon_grant_id uuid references outbox.coupon_grant,
    tag text,                               -- added to the contact when the message is accepted
    consent jsonb not null,                 -- the evidence at the decision; the claim adds what it relied on
    definition_hash text not null references outbox.definition (hash),
    not_before timestamptz not null,
    not_after timestamptz not null,
    state text not null default 'planned' check (state in (
        'planned',                          -- may be claimed once not_before has come
        'sending',                          -- planned -> sending: an attempt is open
        'accepted',                         -- sending, in_doubt -> accepted: the provider has it
        'rejected',                         -- sending, in_doubt -> rejected: the provider said no, no channel is left
        'in_doubt',                         -- sending -> in_doubt: it may have left; never resent by itself
        'skipped',                          -- planned -> skipped: a stop rule at the claim
        'expired'                           -- planned -> expired: not_after has passed
    )),
    reason text,                            -- why it was skipped, expired, rejected or sent back to planned
    planned_at timestamptz not null,
    accepted_at timestamptz,
    accepted_channel text,
    closed_at timestamptz,
    unique (campaign, contact_id, episode_on, step),
    check (channel_no between 1 and cardinality(channels)),
    check ((state = 'accepted') = (accepted_at is not null)),
    check ((state = 'accepted') = (accepted_channel is not null)),
    check (not_after >= not_before),
    -- A corrected order that moves an episode slightly must not mail the same step twice.
    exclude using gist (
        contact_id with =, campaign with =, step with =, daterange(episode_on, episode_on + step_days) with &&
    ) where (state not in ('skipped', 'expired', 'rejected'))
);
create index message_due on outbox.message (not_before, id) where state = 'planned';
create index message_open on outbox.message (contact_id) where state in ('sending', 'in_doubt');
create index message_contact on outbox.message (contact_id, accepted_at);
create index message_run on outbox.message (run_id);
create unique index message_grant on outbox.message (coupon_grant_id) where coupon_grant_id is not null;
create index message_as_of on outbox.message (as_of, campaign, step);

create table outbox.attempt (
    message_id uuid not null references outbox.message,
    attempt_no smallint not null check (attempt_no > 0),
    channel text not null,
    address_hash bytea,                     -- where it went, hashed: an opt-out counts for it after the address has changed
    worker text not null,
    opened_at timestamptz not null,
    lease_until timestamptz not null,       -- database time: an open attempt past it becomes unknown
    closed_at timestamptz,
    outcome text not null default 'open' check (outcome in (
        'open',                             -- the provider is being called, or the caller died
        'accepted',                         -- open, unknown -> accepted
        'not_sent',                         -- open, unknown -> not_sent: provably never left
        'rejected',                         -- open, unknown -> rejected: the provider refused it
        'unknown'                           -- open -> unknown: it may have left; leaves only with evidence
    )),
    provider_message_id text,
    error_code text,
    segments smallint,                      -- texts: what it costs
    encoding text,                          -- texts: GSM-7 or UCS-2
    consent jsonb,                          -- what the claim relied on
    evidence jsonb,                         -- what moved it out of unknown: webhook, provider log, operator
    primary key (message_id, attempt_no),
    check ((outcome = 'open') = (closed_at is null))
);
-- The invariant: no second send while a first may have left. outcome is NOT NULL, for a predicate is not true of NULL.
create unique index attempt_one_may_have_left on outbox.attempt (message_id) where outcome not in ('not_sent', 'rejected');
create index attempt_open on outbox.attempt (lease_until) where outcome = 'open';
create index attempt_unknown on outbox.attempt (opened_at) where outcome = 'unknown';
create index attempt_worker on outbox.attempt (worker) where outcome = 'open';
create index attempt_provider_id on outbox.attempt (provider_message_id) where provider_message_id is not null;

-- Alerts to the team: no consent, no quiet hours, sent before the gate can stop them.
create table outbox.notice (
    id uuid primary key default gen_random_uuid(),
    kind text not null,                     -- pool_dry, pool_low, gate_failed, run_failed, ...
    subject text not null,                  -- what it is about: a promotion, a campaign; never a person
    on_day date not null,
    title text not null,
    body text not null,
    state text not null default 'planned' check (state in ('planned', 'sending', 'accepted', 'rejected', 'in_doubt')),
    raised_at timestamptz not null,
    accepted_at timestamptz,
    unique (kind, subject, on_day)
);

create table outbox.notice_attempt (
    notice_id uuid not null references outbox.notice,
    attempt_no smallint not null check (attempt_no > 0),
    worker text not null,
    opened_at timestamptz not null,
    lease_until timestamptz not null,
    closed_at timestamptz,
    outcome text not null default 'open' check (outcome in ('open', 'accepted', 'not_sent', 'rejected', 'unknown')),
    provider_message_id text,
    error_code text,
    primary key (notice_id, attempt_no)
);
create unique index notice_attempt_one_may_have_left on outbox.notice_attempt (notice_id)
    where outcome not in ('not_sent', 'rejected');

create table outbox.contact_event (
    id uuid primary key default gen_random_uuid(),
    contact_id text not null,
    name text not null,                     -- coupon_assigned, coupon_released
    payload jsonb not null default '{}',
    occurred_at timestamptz not null,
    caused_by uuid not null                 -- the grant or message
);
create unique index contact_event_once on outbox.contact_event (caused_by, name);
create index contact_event_contact on outbox.contact_event (contact_id, occurred_at);

create table outbox.contact_tag (
    id uuid primary key default gen_random_uuid(),
    contact_id text not null,
    tag text not null,
    added_at timestamptz not null,
    removed_at timestamptz,
    caused_by uuid not null,                -- the message or run
    check (removed_at >= added_at)
);
create unique index contact_tag_once on outbox.contact_tag (contact_id, tag) where removed_at is null;

create table outbox.suppression (
    id uuid primary key default gen_random_uuid(),
    channel text not null check (channel in ('email', 'sms', 'webpush')),
    address_hash bytea not null,
    reason text not null,                   -- unsubscribed, complained, bounced, stopped, invalid, operator, imported
    source text not null,                   -- provider, one_click, preference_page, sms_keyword, operator, ...
    event_received_at timestamptz,          -- when the event came that it rests on: where folding goes on
    suppressed_at timestamptz not null,
    until timestamptz,                      -- null: for good
    lifted_at timestamptz
);
create unique index suppression_once on outbox.suppression (channel, address_hash, reason) where lifted_at is null;
create index suppression_address on outbox.suppression (channel, address_hash);
create index suppression_event on outbox.suppression (event_received_at) where event_received_at is not null;

-- The key of address hashes: readable by the owner alone.
create table outbox.address_key (
    only_row boolean primary key default true check (only_row),
    inner_key bytea not null,
    outer_key bytea not null
);
revoke all on outbox.address_key from public;

do $$
declare
    secret bytea := sha256(
        (gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text || clock_timestamp()::text)::bytea
    ) || decode(repeat('00', 32), 'hex');
    inner_key bytea := secret;
    outer_key bytea := secret;
begin
    for position in 0..63 loop
        inner_key := set_byte(inner_key, position, get_byte(secret, position) # 54);
        outer_key := set_byte(outer_key, position, get_byte(secret, position) # 92);
    end loop;
    insert into outbox.address_key (inner_key, outer_key) values (inner_key, outer_key);
end
$$;

-- HMAC-SHA-256 (RFC 2104) of a normalised address: e-mail trimmed and in lower case, phone in E.164, endpoint as it is.
create function outbox.address_hash(channel text, address text) returns bytea
language sql stable strict parallel safe security definer set search_path = pg_catalog
as $$
    select sha256(outer_key || sha256(inner_key || convert_to(
        channel || ':' || case channel when 'email' then lower(btrim(address)) else btrim(address) end, 'UTF8'
    )))
    from outbox.address_key
$$;
