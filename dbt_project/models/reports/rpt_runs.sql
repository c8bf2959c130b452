with runs as (
    select * from {{ source('outbox', 'run') }}
),

days as (
    select
        run_id,
        min(as_of) as first_as_of,
        max(as_of) as last_as_of,
        count(*) as days
    from {{ source('outbox', 'run_day') }}
    group by run_id
),

decisions as (
    select
        run_id,
        count(*) as evaluated,
        count(*) filter (where decision = 'send') as send,
        count(*) filter (where decision = 'hold') as hold,
        count(*) filter (where decision = 'skip') as skip,
        count(*) filter (where decision = 'holdout') as holdout
    from {{ source('outbox', 'decision') }}
    group by run_id
),

messages as (
    select
        run_id,
        count(*) as messages,
        count(*) filter (where state = 'planned') as planned,
        count(*) filter (where state = 'sending') as sending,
        count(*) filter (where state = 'accepted') as accepted,
        count(*) filter (where state = 'rejected') as rejected,
        count(*) filter (where state = 'in_doubt') as in_doubt,
        count(*) filter (where state = 'skipped') as skipped,
        count(*) filter (where state = 'expired') as expired
    from {{ source('outbox', 'message') }}
    group by run_id
),

final as (
    select
        runs.run_id,
        runs.definition_hash as bundle_hash,
        runs.mode,
        runs.state,
        runs.target,
        runs.detail,
        runs.verdict,
        coalesce(zones.timezone, 'UTC') as timezone,
        coalesce(days.days, 0) as days,
        runs.request_count,
        coalesce(decisions.evaluated, 0) as evaluated,
        coalesce(decisions.send, 0) as send,
        coalesce(decisions.hold, 0) as hold,
        coalesce(decisions.skip, 0) as skip,
        coalesce(decisions.holdout, 0) as holdout,
        coalesce(messages.messages, 0) as messages,
        coalesce(messages.planned, 0) as planned,
        coalesce(messages.sending, 0) as sending,
        coalesce(messages.accepted, 0) as accepted,
        coalesce(messages.rejected, 0) as rejected,
        coalesce(messages.in_doubt, 0) as in_doubt,
        coalesce(messages.skipped, 0) as skipped,
        coalesce(messages.expired, 0) as expired,
        runs.verdict @? '$.*.result ? (@ == "held")' as is_held,
        coalesce(sample.has_made_up_people, false) as has_made_up_people,
        days.first_as_of,
        days.last_as_of,
        runs.clock,
        runs.created_at,
        runs.closed_at
    from runs
    left join days on days.run_id = runs.run_id
    left join decisions on decisions.run_id = runs.run_id
    left join messages on messages.run_id = runs.run_id
    left join lateral (
        select campaign.body ->> 'timezone' as timezone
        from {{ source('outbox', 'definition') }} as bundle
        cross join lateral jsonb_each_text(bundle.body -> 'campaigns') as member
        inner join {{ source('outbox', 'definition') }} as campaign on campaign.hash = member.value
        where bundle.hash = runs.definition_hash
        order by (campaign.body ->> 'priority')::integer, member.key
        limit 1
    ) as zones on true
    -- Addresses under example.com are reserved (RFC 2606): nobody has one. A few of the run's people tell.
    left join lateral (
        select bool_or(contacts.email ilike '%@example.com') as has_made_up_people
        from (
            select contact_id from {{ source('outbox', 'decision') }} as decision
            where decision.run_id = runs.run_id
            limit 20
        ) as asked
        inner join {{ source('raw', 'contacts') }} as contacts on contacts.contact_id = asked.contact_id
    ) as sample on true
)

select * from final
