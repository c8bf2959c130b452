{{ config(materialized='live_view') }}

-- What counts against a cap counts for every contact of the person. Looked up by contact_id: a few index look-ups each.
-- No CTE: see recipients.
select
    contacts.contact_id::text as contact_id,
    touches.channel,
    touches.sent_at,
    touches.source
from {{ source('raw', 'contacts') }} as contacts
cross join lateral (
    {{ members_of('contacts.contact_id') }}
) as members
cross join lateral (
    select
        messages.accepted_channel as channel,
        messages.accepted_at as sent_at,
        messages.campaign as source
    from {{ source('outbox', 'message') }} as messages
    where messages.contact_id = members.member_contact_id and messages.state = 'accepted'
    union all
    -- What may have left counts as if it had.
    select
        messages.channels[messages.channel_no] as channel,
        coalesce(
            (
                select max(attempts.opened_at)
                from {{ source('outbox', 'attempt') }} as attempts
                where attempts.message_id = messages.id
            ),
            messages.not_before
        ) as sent_at,
        messages.campaign as source
    from {{ source('outbox', 'message') }} as messages
    where messages.contact_id = members.member_contact_id and messages.state in ('sending', 'in_doubt')
    union all
    select
        sends.channel::text as channel,
        sends.sent_at::timestamptz as sent_at,
        sends.campaign::text as source
    from {{ source('raw', 'campaign_sends') }} as sends
    where sends.contact_id = members.member_contact_id
) as touches
