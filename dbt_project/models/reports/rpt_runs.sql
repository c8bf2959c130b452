with runs as (
    select * from {{ source('outbox', 'run') }}
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
        days.days,
        runs.request_count,
        decisions.evaluated,
        decisions.send,
        decisions.hold,
        decisions.skip,
        decisions.holdout,
        messages.messages,
        messages.planned,
        messages.sending,
        messages.accepted,
        messages.rejected,
        messages.in_doubt,
        messages.skipped,
        messages.expired,
        runs.verdict @? '$.*.result ? (@ == "held")' as is_held,
        coalesce(sample.has_made_up_people, false) as has_made_up_people,
        days.first_as_of,
        days.last_as_of,
        runs.clock,
        runs.created_at,
        runs.closed_at
    from runs
    -- Each run's rows are looked up by its id: one run costs what that run did.
    cross join lateral (
        select
            min(day.as_of) as first_as_of,
            max(day.as_of) as last_as_of,
            count(*) as days
        from {{ source('outbox', 'run_day') }} as day
        where day.run_id = runs.run_id
    ) as days
    cross join lateral (
        select
            count(*) as evaluated,
            count(*) filter (where decided.decision = 'send') as send,
            count(*) filter (where decided.decision = 'hold') as hold,
            count(*) filter (where decided.decision = 'skip') as skip,
            count(*) filter (where decided.decision = 'holdout') as holdout
        from {{ source('outbox', 'decision') }} as decided
        where decided.run_id = runs.run_id
    ) as decisions
    cross join lateral (
        select
            count(*) as messages,
            count(*) filter (where message.state = 'planned') as planned,
            count(*) filter (where message.state = 'sending') as sending,
            count(*) filter (where message.state = 'accepted') as accepted,
            count(*) filter (where message.state = 'rejected') as rejected,
            count(*) filter (where message.state = 'in_doubt') as in_doubt,
            count(*) filter (where message.state = 'skipped') as skipped,
            count(*) filter (where message.state = 'expired') as expired
        from {{ source('outbox', 'message') }} as message
        where message.run_id = runs.run_id
    ) as messages
    left join lateral (
        select campaign.body ->> 'timezone' as timezone
        from {{ source('outbox', 'definition') }} as bundle
        cross join lateral jsonb_each_text(bundle.body -> 'campaigns') as member
        inner join {{ source('outbox', 'definition') }} as campaign on campaign.hash = member.value
        where bundle.hash = runs.definition_hash
        order by (campaign.body ->> 'priority')::integer, member.key
        limit 1
    ) as zones on true
    -- Addresses under example.com are reserved (RFC 2606): nobody has one. A few of the run's people tell, more than half of them: a real
    -- shop has a test contact.
    left join lateral (
        select avg((btrim(contacts.email) ilike '%@example.com')::integer) > 0.5 as has_made_up_people
        from (
            select decided.contact_id
            from (
                -- By the run (offset 0), never through everybody ever decided about in the order of their ids.
                select decision.contact_id from {{ source('outbox', 'decision') }} as decision
                where decision.run_id = runs.run_id
                offset 0
            ) as decided
            order by decided.contact_id
            limit 20
        ) as asked
        inner join {{ source('raw', 'contacts') }} as contacts on contacts.contact_id = asked.contact_id
    ) as sample on true
)

select * from final
