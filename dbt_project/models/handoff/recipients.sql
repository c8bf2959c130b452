{{ config(materialized='live_view', meta={'personal': true}) }}

-- Where a message goes, looked up at the claim. It rests on sources alone, so that no build can take it away. Whatever is malformed is null.
with contacts as (
    select
        contact_id::text as contact_id,
        first_name::text as first_name,
        case when {{ is_email('email') }} then btrim(email)::text end as email,
        case when {{ is_phone('phone') }} then btrim(phone)::text end as phone,
        timezone::text as timezone,
        country::text as country,
        region::text as region
    from {{ source('raw', 'contacts') }}
),

final as (
    select
        contacts.contact_id,
        contacts.first_name,
        contacts.email,
        contacts.phone,
        coalesce(
            (
                select jsonb_agg(
                    jsonb_build_object(
                        'endpoint', subscriptions.endpoint, 'p256dh', subscriptions.p256dh, 'auth', subscriptions.auth
                    )
                    order by subscriptions.subscribed_at desc, subscriptions.endpoint
                )
                from {{ source('raw', 'web_push_subscriptions') }} as subscriptions
                where subscriptions.contact_id = contacts.contact_id
            ),
            '[]'::jsonb
        ) as subscriptions,
        (select zones.zone from {{ source('outbox', 'time_zone') }} as zones where zones.zone = btrim(contacts.timezone))
            as timezone,
        contacts.country,
        contacts.region,
        outbox.address_hash('email', contacts.email) as email_hash,
        outbox.address_hash('sms', contacts.phone) as phone_hash
    from contacts
)

select * from final
