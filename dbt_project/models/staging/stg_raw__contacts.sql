with source as (
    select * from {{ source('raw', 'contacts') }}
),

renamed as (
    select
        contact_id::text as contact_id,
        email::text as email,
        phone::text as phone,
        first_name::text as first_name,
        country::text as country,
        region::text as region,
        timezone::text as timezone,
        locale::text as locale,
        consent_email::boolean as has_email_consent,
        consent_email_at::timestamptz as email_consent_at,
        consent_email_source::text as email_consent_source,
        consent_email_text_version::text as email_consent_text_version,
        consent_sms::boolean as has_sms_consent,
        consent_sms_at::timestamptz as sms_consent_at,
        consent_sms_source::text as sms_consent_source,
        consent_sms_text_version::text as sms_consent_text_version,
        created_at::timestamptz as created_at,
        updated_at::timestamptz as updated_at
    from source
)

select * from renamed
