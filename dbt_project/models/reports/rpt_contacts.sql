-- What an analyst may know of a person: that there is an address, never which.
with contacts as (
    select * from {{ source('raw', 'contacts') }}
),

final as (
    select
        contact_id,
        country,
        region,
        timezone,
        nullif(btrim(email), '') is not null as has_email,
        nullif(btrim(phone), '') is not null as has_phone,
        coalesce(consent_email, false) as has_email_consent,
        coalesce(consent_sms, false) as has_sms_consent,
        exists (
            select from {{ source('raw', 'web_push_subscriptions') }} as subscription
            where subscription.contact_id = contacts.contact_id
        ) as has_push_subscription,
        created_at,
        updated_at
    from contacts
)

select * from final
