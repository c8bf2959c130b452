{{ config(materialized='table', post_hook='analyze {{ this }}') }}

-- Addresses are hashed here as everywhere (outbox.address_hash) and looked up by hash. What a person wished in an event that has not
-- been folded into the ledger yet counts as well: by the address, or by the message whose link was used.
with members as (
    select distinct
        contact_id,
        member_contact_id
    from {{ ref('int_person_members') }}
),

days as (
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

addresses as (
    select
        members.contact_id,
        members.member_contact_id,
        listed.channel,
        listed.address,
        outbox.address_hash(listed.channel, listed.address) as address_hash
    from members
    cross join lateral (
        select
            'email' as channel,
            contacts.email as address
        from {{ ref('stg_raw__contacts') }} as contacts
        where contacts.contact_id = members.member_contact_id and {{ is_email('contacts.email') }}
        union all
        select
            'sms' as channel,
            contacts.phone as address
        from {{ ref('stg_raw__contacts') }} as contacts
        where contacts.contact_id = members.member_contact_id and {{ is_phone('contacts.phone') }}
        union all
        select
            'webpush' as channel,
            subscriptions.endpoint as address
        from {{ ref('stg_raw__web_push_subscriptions') }} as subscriptions
        where subscriptions.contact_id = members.member_contact_id
        offset 0
    ) as listed
),

ledger as (
    select
        addresses.contact_id,
        addresses.member_contact_id,
        addresses.channel,
        suppressions.is_about_address,
        suppressions.suppressed_at,
        suppressions.suppressed_until,
        suppressions.lifted_at
    from addresses
    cross join lateral (
        select *
        from {{ ref('stg_outbox__suppressions') }} as listed
        where listed.channel = addresses.channel and listed.address_hash = addresses.address_hash
        offset 0
    ) as suppressions
),

wishes as (
    select
        addresses.contact_id,
        preferences.channel,
        preferences.kind,
        preferences.paused_until,
        preferences.occurred_at,
        preferences.event_key
    from addresses
    cross join lateral (
        select *
        from {{ ref('stg_events__preferences') }} as listed
        where listed.channel = addresses.channel and listed.address_hash = addresses.address_hash
        offset 0
    ) as preferences

    union all

    select
        members.contact_id,
        preferences.channel,
        preferences.kind,
        preferences.paused_until,
        preferences.occurred_at,
        preferences.event_key
    from members
    cross join lateral (
        select listed.*
        from {{ ref('stg_outbox__messages') }} as messages
        inner join {{ ref('stg_events__preferences') }} as listed on listed.message_id = messages.message_id
        where messages.contact_id = members.member_contact_id
        offset 0
    ) as preferences
),

-- No holds until a yes; a pause until its end, a yes, or the next pause. A pause takes back no earlier no.
standing_wishes as (
    select
        heard.as_of,
        heard.clock,
        heard.contact_id,
        heard.channel
    from (
        select
            days.as_of,
            days.clock,
            wishes.*,
            max(wishes.occurred_at) filter (where wishes.kind = 'resubscribed') over said as last_yes_at,
            max(wishes.occurred_at) filter (where wishes.kind = 'paused') over said as last_pause_at
        from wishes
        inner join days on days.contact_id = wishes.contact_id
        where wishes.occurred_at < days.clock
        window said as (partition by days.as_of, days.clock, wishes.contact_id, wishes.channel)
    ) as heard
    where
        coalesce(heard.occurred_at >= heard.last_yes_at, true)
        and (
            heard.kind = 'unsubscribed'
            or (
                heard.kind = 'paused'
                and heard.occurred_at = heard.last_pause_at
                and coalesce(heard.paused_until > heard.clock, true)
            )
        )
),

suppressed as (
    select
        ledger.contact_id,
        days.as_of,
        days.clock,
        ledger.channel,
        ledger.member_contact_id = ledger.contact_id as is_own,
        not ledger.is_about_address as is_opt_out
    from ledger
    inner join days on days.contact_id = ledger.contact_id
    where
        ledger.suppressed_at < days.clock
        and coalesce(ledger.suppressed_until > days.clock, true)
        and coalesce(ledger.lifted_at > days.clock, true)

    union all

    select
        contact_id,
        as_of,
        clock,
        channel,
        true as is_own,
        true as is_opt_out
    from standing_wishes
),

final as (
    select
        contact_id,
        as_of,
        clock,
        channel,
        bool_or(is_opt_out) as is_opted_out,
        -- One dead browser is not the end of a push channel: int_reachability counts the living ones.
        bool_or(is_opt_out or (is_own and channel <> 'webpush')) as is_suppressed
    from suppressed
    group by contact_id, as_of, clock, channel
)

select * from final
