{{ config(materialized='live_view') }}

-- Joined over the hashes that the snapshot of consents keeps: an analyst may neither see an address nor hash one. So a contact is here from
-- the first build after it was loaded; `winback export suppressions` looks addresses up as they are now.
select
    contacts.contact_id::text as contact_id,
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
where suppressions.lifted_at is null
group by contacts.contact_id, suppressions.channel, suppressions.reason, suppressions.until
union all
-- A browser has no address that others know: what was asked for by a message's link stands as it was said. No holds until a yes, a pause
-- until the next one.
select
    messages.contact_id,
    wishes.channel,
    wishes.kind as reason,
    max(wishes.occurred_at) as since,
    wishes.until
from {{ source('events', 'preference') }} as wishes
inner join {{ source('outbox', 'message') }} as messages on messages.id = wishes.message_id
where
    wishes.channel = 'webpush'
    and wishes.kind in ('unsubscribed', 'paused')
    and not exists (
        select 1
        from {{ source('outbox', 'message') }} as others
        inner join {{ source('events', 'preference') }} as later on later.message_id = others.id
        where
            others.contact_id = messages.contact_id
            and later.channel = wishes.channel
            and later.occurred_at > wishes.occurred_at
            and (later.kind = 'resubscribed' or (later.kind = 'paused' and wishes.kind = 'paused'))
    )
group by messages.contact_id, wishes.channel, wishes.kind, wishes.until
