{{ config(materialized='table', post_hook='analyze {{ this }}') }}

-- What is known of how a contact may be reached, and no address: a consent that cannot be read is no consent.
with days as (
    select distinct
        candidates.contact_id,
        candidates.as_of,
        run_days.clock
    from {{ ref('int_candidates') }} as candidates
    inner join {{ ref('int_run_days') }} as run_days
        on
            run_days.run_id = candidates.run_id
            and run_days.campaign = candidates.campaign
            and run_days.as_of = candidates.as_of
),

suppressed as (
    select * from {{ ref('int_suppressed_channels') }}
),

zones as (
    select * from {{ ref('stg_outbox__time_zones') }}
),

known as (
    select
        days.contact_id,
        days.as_of,
        days.clock,
        contacts.contact_id is not null as is_known,
        nullif(btrim(contacts.email), '') is not null as has_email,
        coalesce({{ is_email('contacts.email') }}, false) as is_email_valid,
        nullif(btrim(contacts.phone), '') is not null as has_phone,
        coalesce({{ is_phone('contacts.phone') }}, false) as is_phone_valid,
        nullif(btrim(contacts.timezone), '') as timezone,
        contacts.country,
        contacts.region,
        coalesce(contacts.has_email_consent and coalesce(contacts.email_consent_at < days.clock, true), false)
            as has_own_email_consent,
        contacts.email_consent_at,
        contacts.email_consent_source,
        contacts.email_consent_text_version,
        coalesce(contacts.has_sms_consent and coalesce(contacts.sms_consent_at < days.clock, true), false)
            as has_own_sms_consent,
        contacts.sms_consent_at,
        contacts.sms_consent_source,
        contacts.sms_consent_text_version
    from days
    left join lateral (
        select *
        from {{ ref('stg_raw__contacts') }} as listed
        where listed.contact_id = days.contact_id
        offset 0
    ) as contacts on true
),

-- No from another contact of the same person counts for this one, too, unless this one said yes later.
refused as (
    select
        known.contact_id,
        known.as_of,
        known.clock,
        bool_or(
            not others.has_email_consent
            and not coalesce(known.email_consent_at > others.email_consent_at, false)
            and coalesce(others.email_consent_at < known.clock, true)
        ) as has_refused_email,
        bool_or(
            not others.has_sms_consent
            and not coalesce(known.sms_consent_at > others.sms_consent_at, false)
            and coalesce(others.sms_consent_at < known.clock, true)
        ) as has_refused_sms
    from known
    inner join {{ ref('int_person_members') }} as members
        on members.contact_id = known.contact_id and members.member_contact_id <> known.contact_id
    cross join lateral (
        select
            listed.has_email_consent,
            listed.email_consent_at,
            listed.has_sms_consent,
            listed.sms_consent_at
        from {{ ref('stg_raw__contacts') }} as listed
        where listed.contact_id = members.member_contact_id
        offset 0
    ) as others
    group by known.contact_id, known.as_of, known.clock
),

subscribed as (
    select
        known.contact_id,
        known.as_of,
        known.clock,
        exists (
            select 1
            from {{ ref('stg_raw__web_push_subscriptions') }} as subscriptions
            where
                subscriptions.contact_id = known.contact_id
                and subscriptions.subscribed_at < known.clock
                and not exists (
                    select 1
                    from {{ ref('stg_outbox__suppressions') }} as suppressions
                    where
                        suppressions.channel = 'webpush'
                        and suppressions.address_hash = outbox.address_hash('webpush', subscriptions.endpoint)
                        and suppressions.suppressed_at < known.clock
                        and coalesce(suppressions.suppressed_until > known.clock, true)
                        and coalesce(suppressions.lifted_at > known.clock, true)
                )
        ) as has_subscription
    from known
),

final as (
    select
        known.contact_id,
        known.is_known,
        known.has_email,
        known.is_email_valid,
        known.has_phone,
        known.is_phone_valid,
        subscribed.has_subscription,
        known.has_own_email_consent and not coalesce(refused.has_refused_email, false) as has_email_consent,
        known.has_own_sms_consent and not coalesce(refused.has_refused_sms, false) as has_sms_consent,
        coalesce(email.is_opted_out, false) as is_email_opted_out,
        coalesce(email.is_suppressed, false) as is_email_suppressed,
        coalesce(sms.is_suppressed, false) as is_sms_suppressed,
        coalesce(webpush.is_suppressed, false) as is_webpush_suppressed,
        known.timezone is not null and zones.zone is null as is_timezone_malformed,
        zones.zone as timezone,
        known.country,
        known.region,
        jsonb_build_object(
            'at', known.email_consent_at,
            'source', known.email_consent_source,
            'text_version', known.email_consent_text_version
        ) as email_consent,
        jsonb_build_object(
            'at', known.sms_consent_at,
            'source', known.sms_consent_source,
            'text_version', known.sms_consent_text_version
        ) as sms_consent,
        known.as_of,
        known.clock
    from known
    inner join subscribed
        on subscribed.contact_id = known.contact_id and subscribed.as_of = known.as_of and subscribed.clock = known.clock
    left join refused
        on refused.contact_id = known.contact_id and refused.as_of = known.as_of and refused.clock = known.clock
    left join suppressed as email
        on
            email.contact_id = known.contact_id
            and email.as_of = known.as_of
            and email.clock = known.clock
            and email.channel = 'email'
    left join suppressed as sms
        on
            sms.contact_id = known.contact_id
            and sms.as_of = known.as_of
            and sms.clock = known.clock
            and sms.channel = 'sms'
    left join suppressed as webpush
        on
            webpush.contact_id = known.contact_id
            and webpush.as_of = known.as_of
            and webpush.clock = known.clock
            and webpush.channel = 'webpush'
    left join zones on zones.zone = known.timezone
)

select * from final
