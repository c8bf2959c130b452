{{ config(materialized='live_view', meta={'personal': true}) }}

-- Where a message goes, looked up at the claim. It rests on sources alone, so that no build can take it away. Whatever is malformed is null.
-- No CTE: PostgreSQL joins a plain view's table by index, and would compute one with a CTE for every contact there is.
select
    contacts.contact_id::text as contact_id,
    contacts.first_name::text as first_name,
    case when {{ is_email('contacts.email') }} then btrim(contacts.email)::text end as email,
    case when {{ is_phone('contacts.phone') }} then btrim(contacts.phone)::text end as phone,
    coalesce(
        (
            select jsonb_agg(
                jsonb_build_object(
                    'endpoint', subscriptions.endpoint,
                    'p256dh', subscriptions.p256dh,
                    'auth', subscriptions.auth,
                    'subscribed_at', subscriptions.subscribed_at
                )
                order by subscriptions.subscribed_at desc, subscriptions.endpoint
            )
            from {{ source('raw', 'web_push_subscriptions') }} as subscriptions
            where subscriptions.contact_id = contacts.contact_id
        ),
        '[]'::jsonb
    ) as subscriptions,
    (
        select zones.zone
        from {{ source('outbox', 'time_zone') }} as zones
        where zones.zone = btrim(contacts.timezone)
    ) as timezone,
    contacts.country::text as country,
    contacts.region::text as region,
    case when {{ is_email('contacts.email') }} then outbox.address_hash('email', contacts.email) end as email_hash,
    case when {{ is_phone('contacts.phone') }} then outbox.address_hash('sms', contacts.phone) end as phone_hash,
    (
        select min(members.contact_id::text)
        from unnest({{ person_ids('contacts.contact_id', source('raw', 'contacts')) }}) as members (contact_id)
    ) as person_id,
    jsonb_build_object(
        'email', jsonb_build_object(
            'at', contacts.consent_email_at,
            'source', contacts.consent_email_source,
            'text_version', contacts.consent_email_text_version
        ),
        'sms', jsonb_build_object(
            'at', contacts.consent_sms_at,
            'source', contacts.consent_sms_source,
            'text_version', contacts.consent_sms_text_version
        )
    ) as consent
from {{ source('raw', 'contacts') }} as contacts
