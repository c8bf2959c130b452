{{ config(materialized='live_view') }}

-- What may have changed between the decision and the claim, for the person and not only the contact. It rests on sources alone, and is
-- one lateral subquery per message: whoever asks for some messages pays for those, and never for all contacts or orders.
-- No CTE around it: see recipients.
select
    planned.message_id,
    stops.channel,
    stops.reason,
    stops.happened_at,
    stops.ends_at
from (
    select
        messages.id as message_id,
        messages.contact_id,
        messages.channels,
        messages.campaign,
        messages.episode_on,
        messages.step_days,
        -- A renamed step is still the step that people already had.
        array_remove(array[messages.step, steps.body ->> 'renamed_from'], null) as step_keys,
        coalesce(steps.body -> 'requires', '[]'::jsonb) as requires,
        steps.cancelled_by,
        ends.episode_ended_at
    from {{ source('outbox', 'message') }} as messages
    -- OFFSET 0: read once a definition and step, not once a message and use.
    cross join lateral (
        select
            (
                select listed.step
                from jsonb_array_elements(definitions.body -> 'steps') as listed (step)
                where listed.step ->> 'key' = messages.step
            ) as body,
            definitions.body -> 'cancelled_by' as cancelled_by,
            definitions.body ->> 'timezone' as timezone
        from {{ source('outbox', 'definition') }} as definitions
        where definitions.hash = messages.definition_hash
        offset 0
    ) as steps
    cross join lateral (
        select {{ day_start('messages.episode_on + 1', 'steps.timezone') }} as episode_ended_at
        offset 0
    ) as ends
    where messages.state = 'planned'
) as planned
cross join lateral (
    with members as materialized (
        select
            linked.member_contact_id,
            known.*
        from (
            {{ members_of('planned.contact_id') }}
        ) as linked
        cross join lateral (
            select
                contacts.email,
                contacts.phone,
                contacts.consent_email,
                contacts.consent_email_at,
                contacts.consent_sms,
                contacts.consent_sms_at
            from {{ source('raw', 'contacts') }} as contacts
            where contacts.contact_id = linked.member_contact_id
            offset 0
        ) as known
    ),

    own as (
        select * from members
        where member_contact_id = planned.contact_id
    ),

    -- The first purchase or sign of life after the episode's first day. OFFSET 0: one look-up a contact, whatever the planner expects.
    purchased as (
        select min(first.happened_at) as happened_at
        from (select planned.contact_id as member_contact_id union select member_contact_id from members) as everyone
        cross join lateral (
            select min(orders.ordered_at) as happened_at
            from {{ source('raw', 'orders') }} as orders
            where
                orders.contact_id = everyone.member_contact_id
                and orders.ordered_at >= planned.episode_ended_at
                and {{ is_purchase('orders') }}
            offset 0
        ) as first
    ),

    active as (
        select min(first.happened_at) as happened_at
        from members
        cross join lateral (
            select min(visits.visited_at) as happened_at
            from {{ source('raw', 'site_visits') }} as visits
            where
                visits.contact_id = members.member_contact_id and visits.visited_at >= planned.episode_ended_at
            union all
            select min(engagements.occurred_at) as happened_at
            from {{ source('raw', 'engagements') }} as engagements
            where
                engagements.contact_id = members.member_contact_id
                and engagements.occurred_at >= planned.episode_ended_at
                and {{ is_human('engagements') }}
            union all
            select min(reactions.occurred_at) as happened_at
            from {{ source('outbox', 'message') }} as earlier
            cross join lateral (
                select engagements.occurred_at
                from {{ source('events', 'engagement_event') }} as engagements
                where
                    engagements.message_id = earlier.id
                    and engagements.occurred_at >= planned.episode_ended_at
                    and {{ is_human('engagements') }}
                offset 0
            ) as reactions
            where earlier.contact_id = members.member_contact_id
            offset 0
        ) as first
        where planned.cancelled_by ? 'activity'
    ),

    -- The same step, had by any contact of the person, as the decision counts it: another tool sent it, and its history was read since; or
    -- we did, to a contact that has come to be the same person's since.
    had as (
        select steps.is_certain
        from members
        cross join lateral (
            select true as is_certain
            from {{ source('outbox', 'imported_send') }} as sends
            where
                sends.contact_id = members.member_contact_id
                and sends.campaign = planned.campaign
                and sends.step = any(planned.step_keys)
                and sends.episode_on < planned.episode_on + planned.step_days
                and sends.episode_on + sends.step_days > planned.episode_on
            union all
            select messages.state <> 'sending' as is_certain
            from {{ source('outbox', 'message') }} as messages
            where
                members.member_contact_id <> planned.contact_id
                and messages.contact_id = members.member_contact_id
                and messages.campaign = planned.campaign
                and messages.step = any(planned.step_keys)
                and messages.episode_on < planned.episode_on + planned.step_days
                and messages.episode_on + messages.step_days > planned.episode_on
                and messages.state in ('sending', 'in_doubt', 'accepted')
            offset 0
        ) as steps
    ),

    addresses as materialized (
        select
            'email'::text as channel,
            outbox.address_hash('email', members.email) as address_hash,
            members.member_contact_id = planned.contact_id as is_own
        from members
        where {{ is_email('members.email') }}
        union all
        select
            'sms' as channel,
            outbox.address_hash('sms', members.phone) as address_hash,
            members.member_contact_id = planned.contact_id as is_own
        from members
        where {{ is_phone('members.phone') }}
        union all
        select
            'webpush' as channel,
            outbox.address_hash('webpush', subscriptions.endpoint) as address_hash,
            members.member_contact_id = planned.contact_id as is_own
        from members
        cross join lateral (
            select browsers.endpoint
            from {{ source('raw', 'web_push_subscriptions') }} as browsers
            where browsers.contact_id = members.member_contact_id
            offset 0
        ) as subscriptions
    ),

    wishes as (
        select said.*
        from addresses
        cross join lateral (
            select
                preferences.event_key,
                preferences.channel,
                preferences.kind,
                preferences.occurred_at,
                preferences.until
            from {{ source('events', 'preference') }} as preferences
            where preferences.channel = addresses.channel and preferences.address_hash = addresses.address_hash
            offset 0
        ) as said
        union
        select said.*
        from members
        cross join lateral (
            select
                preferences.event_key,
                preferences.channel,
                preferences.kind,
                preferences.occurred_at,
                preferences.until
            from {{ source('outbox', 'message') }} as earlier
            cross join lateral (
                select *
                from {{ source('events', 'preference') }} as listed
                where listed.message_id = earlier.id
                offset 0
            ) as preferences
            where earlier.contact_id = members.member_contact_id
            offset 0
        ) as said
    ),

    -- No holds until a yes; a pause until its end, a yes, or the next pause. A pause takes back no earlier no.
    opted_out as (
        select
            asked.channel,
            asked.happened_at,
            asked.ends_at
        from (
            select
                wishes.channel,
                wishes.kind,
                wishes.occurred_at as happened_at,
                least(
                    case when wishes.kind = 'paused' then wishes.until end,
                    min(wishes.occurred_at) filter (where wishes.kind = 'resubscribed') over later,
                    case
                        when wishes.kind = 'paused'
                            then min(wishes.occurred_at) filter (where wishes.kind = 'paused') over later
                    end
                ) as ends_at
            from wishes
            window later as (
                partition by wishes.channel
                order by wishes.occurred_at, wishes.event_key
                rows between 1 following and unbounded following
            )
        ) as asked
        where asked.kind in ('unsubscribed', 'paused')
        union all
        select
            suppressions.channel,
            suppressions.suppressed_at as happened_at,
            least(suppressions.until, suppressions.lifted_at) as ends_at
        from addresses
        cross join lateral (
            select *
            from {{ source('outbox', 'suppression') }} as listed
            where listed.channel = addresses.channel and listed.address_hash = addresses.address_hash
            offset 0
        ) as suppressions
        -- A dead address stops its own contact, an opt-out the person. Of several browsers one that is gone stops none of the others.
        where (addresses.is_own and addresses.channel <> 'webpush') or not {{ is_about_address('suppressions.reason') }}
    ),

    -- No from another contact of the person counts here, too, unless this one said yes later.
    refused as (
        select
            coalesce(bool_or(
                not members.consent_email and not coalesce(own.consent_email_at > members.consent_email_at, false)
            ), false) as has_refused_email,
            coalesce(bool_or(
                not members.consent_sms and not coalesce(own.consent_sms_at > members.consent_sms_at, false)
            ), false) as has_refused_sms
        from members
        cross join own
        where members.member_contact_id <> planned.contact_id
    ),

    consents as (
        select
            coalesce(own.consent_email, false) and not refused.has_refused_email as has_email_consent,
            coalesce(own.consent_sms, false) and not refused.has_refused_sms as has_sms_consent,
            own.member_contact_id is not null as is_known,
            nullif(btrim(own.email), '') is null as is_email_missing,
            coalesce({{ is_email('own.email') }}, false) as is_email_valid,
            nullif(btrim(own.phone), '') is null as is_phone_missing,
            coalesce({{ is_phone('own.phone') }}, false) as is_phone_valid
        from refused
        left join own on true
    )

    select
        null::text as channel,
        'purchased_since'::text as reason,
        purchased.happened_at::timestamptz as happened_at,
        null::timestamptz as ends_at
    from purchased
    where purchased.happened_at is not null and planned.cancelled_by ? 'purchase'
    union all
    select
        null as channel,
        'active_again' as reason,
        least(purchased.happened_at, active.happened_at) as happened_at,
        null as ends_at
    from purchased
    cross join active
    where
        planned.cancelled_by ? 'activity'
        and coalesce(purchased.happened_at, active.happened_at) is not null
    union all
    select
        null as channel,
        case when bool_or(had.is_certain) then 'already_messaged' else 'being_sent' end as reason,
        null as happened_at,
        null as ends_at
    from had
    having count(*) > 0
    union all
    -- Who opts out of e-mail takes back the consent that a step requires, whichever channel it would use.
    select
        case
            when not (opted_out.channel = 'email' and planned.requires ? 'consent_email') then opted_out.channel
        end as channel,
        'suppressed' as reason,
        opted_out.happened_at,
        opted_out.ends_at
    from opted_out
    union all
    select
        case when not planned.requires ? 'consent_email' then 'email' end as channel,
        'no_email_consent' as reason,
        null as happened_at,
        null as ends_at
    from consents
    where
        not consents.has_email_consent
        and (planned.requires ? 'consent_email' or 'email' = any(planned.channels))
    union all
    select
        case when not planned.requires ? 'consent_sms' then 'sms' end as channel,
        'no_sms_consent' as reason,
        null as happened_at,
        null as ends_at
    from consents
    where
        not consents.has_sms_consent
        and (planned.requires ? 'consent_sms' or 'sms' = any(planned.channels))
    union all
    select
        null as channel,
        'invalid_address' as reason,
        null as happened_at,
        null as ends_at
    from consents
    where not consents.is_known
    union all
    select
        'email' as channel,
        case when consents.is_email_missing then 'no_reachable_channel' else 'invalid_address' end as reason,
        null as happened_at,
        null as ends_at
    from consents
    where not consents.is_email_valid and 'email' = any(planned.channels)
    union all
    select
        'sms' as channel,
        case when consents.is_phone_missing then 'no_reachable_channel' else 'invalid_address' end as reason,
        null as happened_at,
        null as ends_at
    from consents
    where not consents.is_phone_valid and 'sms' = any(planned.channels)
    union all
    select
        'webpush' as channel,
        'no_reachable_channel' as reason,
        null as happened_at,
        null as ends_at
    where
        'webpush' = any(planned.channels)
        and not exists (
            select 1
            from {{ source('raw', 'web_push_subscriptions') }} as subscriptions
            where subscriptions.contact_id = planned.contact_id
        )
) as stops
