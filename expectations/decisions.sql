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
-- Each decision to send, outside shadow mode, has one request.
select 1 from {batch} as decided
left join handoff.send_requests as request
    on request.campaign = decided.campaign
    and request.contact_id = decided.contact_id
    and request.step = decided.step
    and request.as_of = decided.as_of
    and request.episode_on = decided.episode_on
where decided.decision = 'send' and decided.mode <> 'shadow'
group by decided.contact_id, decided.step, decided.as_of
having count(request.contact_id) <> 1

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

-- name: holdout_keeps_its_share
-- The share held out is what the campaign says, within five standard deviations (from 200 people on).
select 1 from {batch} as decided
having count(*) filter (where decided.decision in ('send', 'holdout')) >= 200
    and abs(
        avg((decided.decision = 'holdout')::integer) filter (where decided.decision in ('send', 'holdout')) - :holdout_share
    ) > 5 * sqrt(:holdout_share * (1 - :holdout_share) / count(*) filter (where decided.decision in ('send', 'holdout')))
