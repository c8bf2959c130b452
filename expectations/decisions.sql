-- Rules on cohorts.fct_decisions. {batch} is what this run decided for one campaign; a rule fails when its query returns a row.
-- A row is the number 1: nothing about a person leaves the database. :names are filled in by suites.py.

-- name: decisions_add_up
-- Evaluated = send + hold + skip + holdout, and whoever is not sent to has a reason.
select 1 from {batch} as decided
having count(*) <> count(*) filter (where decided.decision in ('send', 'hold', 'skip', 'holdout'))
    or count(*) filter (where decided.decision <> 'send' and decided.reason is null) > 0

-- name: decided_by_this_definition
-- Every decision went by the definition of this run, on one of its days.
select 1 from {batch} as decided
where decided.definition_hash is distinct from :definition_hash or decided.as_of <> all(:days)

-- name: cohorts_are_decided
-- Everyone who has gone quiet for 30, 60 or 90 days today is decided for the steps of that day, now or by an earlier run.
with quiet as (
    select 30 as days_away, as_of, contact_id from cohorts.dormant_at_30 where as_of = any(:days)
    union all
    select 60, as_of, contact_id from cohorts.dormant_at_60 where as_of = any(:days)
    union all
    select 90, as_of, contact_id from cohorts.dormant_at_90 where as_of = any(:days)
)

select 1 from quiet
inner join jsonb_to_recordset(:steps) as step (key text, renamed_from text, after_days integer)
    on step.after_days = quiet.days_away
left join {batch} as decided
    on decided.contact_id = quiet.contact_id and decided.step = step.key and decided.as_of = quiet.as_of
where :counts_purchases
    and decided.contact_id is null
    and not exists (
        select from outbox.decision as earlier
        where earlier.contact_id = quiet.contact_id
            and earlier.campaign = :campaign
            and earlier.step in (step.key, step.renamed_from)
            and earlier.due_on = quiet.as_of
    )

-- name: each_send_has_its_request
-- Each decision to send, outside shadow mode, has one request: for a message, or, of a step without channels, for its tag.
with asked as (
    select request.campaign, request.contact_id, request.step, request.as_of, request.episode_on
    from handoff.send_requests as request
    union all
    select tag.campaign, tag.contact_id, tag.step, tag.as_of, tag.episode_on
    from handoff.tag_requests as tag
    inner join jsonb_to_recordset(:steps) as step (key text, channels jsonb) on step.key = tag.step
    where tag.action = 'add' and tag.campaign = :campaign and jsonb_array_length(step.channels) = 0
)

select 1 from {batch} as decided
left join asked
    on asked.campaign = decided.campaign
    and asked.contact_id = decided.contact_id
    and asked.step = decided.step
    and asked.as_of = decided.as_of
    and asked.episode_on = decided.episode_on
where decided.decision = 'send' and decided.mode <> 'shadow'
group by decided.contact_id, decided.step, decided.as_of
having count(asked.contact_id) <> 1

-- name: each_request_has_its_decision
-- Each request rests on a decision to send.
select 1 from handoff.send_requests as request
left join {batch} as decided
    on decided.contact_id = request.contact_id
    and decided.step = request.step
    and decided.as_of = request.as_of
    and decided.episode_on = request.episode_on
    and decided.decision = 'send'
where request.campaign = :campaign and decided.contact_id is null

-- name: holdout_as_drawn
-- Held out is whom the draw names, and nobody else: a place from 0 to 100, by the campaign and the person alone, below holdout_percent.
-- Each decision is judged by itself: a share over a day would look wrong on the day after one that was held, when those who were held are
-- decided again and those held out are not.
select 1 from {batch} as decided
cross join lateral (
    select (
        'x' || left(encode(sha256(convert_to(:campaign || ':' || (decided.seen ->> 'person_id'), 'UTF8')), 'hex'), 8)
    )::bit(32)::bigint * 100.0 / 4294967296 as place
) as drawn
where decided.decision in ('send', 'hold', 'holdout')
    and (decided.decision = 'holdout') is distinct from (drawn.place < :holdout_percent)
