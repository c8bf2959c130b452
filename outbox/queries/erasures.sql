-- Forgetting a person on request. Addresses never leave the database here; their keyed hashes do.

-- name: is_on_record(contact_id)$
-- Whether raw tables or ledger know the contact at all.
select exists (select from handoff.recipients where contact_id = :contact_id)
    or exists (select from outbox.decision where contact_id = :contact_id)
    or exists (select from outbox.message where contact_id = :contact_id)
    or exists (select from outbox.coupon_grant where contact_id = :contact_id)
    or exists (select from outbox.contact_tag where contact_id = :contact_id)
    or exists (select from outbox.imported_send where contact_id = :contact_id)
    or exists (select from outbox.erasure where contact_id = :contact_id);

-- name: known_hashes(contact_id)
-- Every address that the contact has now, or was ever written to at.
select known.channel, known.address_hash
from handoff.recipients r
cross join lateral (
    select 'email' as channel, r.email_hash as address_hash
    union all
    select 'sms', r.phone_hash
    union all
    select 'webpush', outbox.address_hash('webpush', listed.subscription ->> 'endpoint')
    from jsonb_array_elements(
        case jsonb_typeof(r.subscriptions) when 'array' then r.subscriptions else '[]' end
    ) as listed (subscription)
) as known
where r.contact_id = :contact_id and known.address_hash is not null
union
select a.channel, a.address_hash
from outbox.message m
join outbox.attempt a on a.message_id = m.id
where m.contact_id = :contact_id and a.address_hash is not null;

-- name: history_of_consents()^
-- Whether a build has kept consents yet, and whether this role may read them.
select found.relation is not null as is_there, coalesce(has_table_privilege(found.relation, 'select'), false) as is_readable
from (select to_regclass('history.consents') as relation) as found;

-- name: past_hashes(contact_id)
-- Addresses that the contact had at some build, as dbt's snapshot of consents knows them.
select known.channel, known.address_hash
from history.consents c
cross join lateral (values ('email', c.email_hash), ('sms', c.phone_hash)) as known (channel, address_hash)
where c.contact_id = :contact_id and known.address_hash is not null
group by known.channel, known.address_hash;

-- name: planned_again(contact_id)
-- What waits to be sent again, locked: before it is skipped and its code goes back, it is asked once more whether it had left.
select m.id
from outbox.message m
where m.contact_id = :contact_id and m.state = 'planned'
    and exists (select from outbox.attempt a where a.message_id = m.id and a.outcome = 'not_sent')
order by m.id
for update of m;

-- name: skip_planned(contact_id, at)
-- What has not left does not leave any more. Waits for a claim that holds a row, and leaves what it took to it.
update outbox.message
set state = 'skipped', reason = 'forgotten', closed_at = greatest(:at::timestamptz, planned_at)
where contact_id = :contact_id and state = 'planned'
returning id;

-- name: suppress_for_good(channels, hashes, source, at)$
-- Never again to any of these addresses; nothing lifts it. Answers how many were added.
with added as (
    insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)
    select known.channel, known.address_hash, 'forgotten', :source, :at::timestamptz
    from unnest(:channels::text[], :hashes::bytea[]) as known (channel, address_hash)
    on conflict do nothing
    returning 1
)
select count(*) from added;

-- name: take_off_tags(contact_id, at)!
-- Tags that the contact carries end.
update outbox.contact_tag set removed_at = greatest(:at::timestamptz, added_at)
where contact_id = :contact_id and removed_at is null;

-- name: erase_calls(contact_id, asked_by, at, hashes)$
-- Opens the one door (0011_erasure.sql) and blanks the webhooks. The addresses that they may name are looked up here, not brought here.
select outbox.erase_calls(
    :contact_id, :asked_by, :at::timestamptz,
    array(
        select known.address
        from handoff.recipients r
        cross join lateral (values (r.email), (r.phone)) as known (address)
        where r.contact_id = :contact_id and known.address is not null
    ),
    :hashes::bytea[]
);

-- name: erase(contact_id, done)$
-- Through the open door, and closes it.
select outbox.erase(:contact_id, :done::jsonb);

-- name: may_have_left(contact_id)$
-- Messages of the contact that a provider may have: nothing calls them back.
select count(*) from outbox.message where contact_id = :contact_id and state in ('sending', 'in_doubt');

-- name: is_built()$
-- Whether dbt has built what blank_built writes to.
select to_regclass('cohorts.fct_decisions') is not null and to_regclass('handoff.send_requests') is not null;

-- name: blank_built_decisions(contact_ids)!
-- dbt's copy of archived decisions, as winback_dbt. A run that was opened since keeps its own: the gate judges them as they are.
update cohorts.fct_decisions d set seen = '{}'
from outbox.run r
where r.run_id = d.run_id and r.state not in ('building', 'built', 'validated')
    and d.contact_id = any(:contact_ids::text[]) and d.seen <> '{}';

-- name: blank_built_requests(contact_ids)!
-- The hand-off of the last run, once it is enqueued or was given up.
update handoff.send_requests q set merge_fields = '{}', consent = '{}'
from outbox.run r
where r.run_id = q.run_id and r.state not in ('building', 'built', 'validated') and q.contact_id = any(:contact_ids::text[]);
