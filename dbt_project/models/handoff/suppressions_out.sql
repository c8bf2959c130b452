{{ config(materialized='live_view') }}

-- Joined over the hashes that the snapshot of consents keeps: an analyst may neither see an address nor hash one. So a contact is here from
-- the first build after it was loaded; `winback export suppressions` looks addresses up as they are now. A dead address stops its own
-- contact, an opt-out every contact of the person: as for our own messages (send_stops).
select
    members.member_contact_id as contact_id,
    suppressions.channel,
    suppressions.reason,
    min(suppressions.suppressed_at) as since,
    suppressions.until
from {{ source('outbox', 'suppression') }} as suppressions
inner join {{ ref('consents') }} as contacts
    on
        contacts.dbt_valid_to is null
        and suppressions.address_hash
        = case suppressions.channel when 'email' then contacts.email_hash when 'sms' then contacts.phone_hash end
cross join lateral (
    select contacts.contact_id::text as member_contact_id
    union all
    select linked.member_contact_id
    from (
        {{ members_of('contacts.contact_id::text') }}
    ) as linked
    where not {{ is_about_address('suppressions.reason') }}
) as members
where suppressions.lifted_at is null
group by members.member_contact_id, suppressions.channel, suppressions.reason, suppressions.until
union all
-- A browser has no address that others know: what was asked for by a message's link stands as it was said, for every contact of the person.
-- No holds until a yes, a pause until the next one.
select
    members.member_contact_id as contact_id,
    wishes.channel,
    wishes.kind as reason,
    max(wishes.occurred_at) as since,
    wishes.until
from {{ source('events', 'preference') }} as wishes
inner join {{ source('outbox', 'message') }} as messages on messages.id = wishes.message_id
cross join lateral (
    {{ members_of('messages.contact_id') }}
) as members
where
    wishes.channel = 'webpush'
    and wishes.kind in ('unsubscribed', 'paused')
    and not exists (
        select 1
        from (
            {{ members_of('messages.contact_id') }}
        ) as speakers
        inner join {{ source('outbox', 'message') }} as others on others.contact_id = speakers.member_contact_id
        inner join {{ source('events', 'preference') }} as later on later.message_id = others.id
        where
            later.channel = wishes.channel
            and later.occurred_at > wishes.occurred_at
            and (later.kind = 'resubscribed' or (later.kind = 'paused' and wishes.kind = 'paused'))
    )
group by members.member_contact_id, wishes.channel, wishes.kind, wishes.until
