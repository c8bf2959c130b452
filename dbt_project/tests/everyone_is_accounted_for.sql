-- Every candidate has exactly one decision, and evaluated = send + hold + skip + holdout, by campaign, step and day. A row here stops the run.
with evaluated as (
    select
        run_id,
        campaign,
        step,
        as_of,
        count(*) as candidates,
        count(*) filter (where is_settled_earlier) as settled_earlier
    from {{ ref('int_evaluations') }}
    group by run_id, campaign, step, as_of
),

candidates as (
    select
        run_id,
        campaign,
        step,
        as_of,
        count(*) as candidates
    from {{ ref('int_candidates') }}
    group by run_id, campaign, step, as_of
),

decided as (
    select
        run_id,
        campaign,
        step,
        as_of,
        count(*) filter (where decision = 'send' and reasons = '{}') as send,
        count(*) filter (where decision = 'hold' and reasons <> '{}') as hold,
        count(*) filter (where decision = 'skip' and reasons <> '{}') as skip,
        count(*) filter (where decision = 'holdout' and reasons[1] = 'holdout') as holdout,
        count(distinct contact_id) as contacts
    from {{ ref('int_decisions') }}
    group by run_id, campaign, step, as_of
)

select
    coalesce(candidates.campaign, decided.campaign) as campaign,
    coalesce(candidates.step, decided.step) as step,
    coalesce(candidates.as_of, decided.as_of) as as_of,
    candidates.candidates,
    evaluated.settled_earlier,
    decided.send,
    decided.hold,
    decided.skip,
    decided.holdout
from candidates
full outer join evaluated using (run_id, campaign, step, as_of)
full outer join decided using (run_id, campaign, step, as_of)
where
    coalesce(candidates.candidates, 0) <> coalesce(evaluated.candidates, 0)
    or coalesce(evaluated.candidates, 0) - coalesce(evaluated.settled_earlier, 0)
    <> coalesce(decided.send + decided.hold + decided.skip + decided.holdout, 0)
    or coalesce(evaluated.candidates, 0) - coalesce(evaluated.settled_earlier, 0) <> coalesce(decided.contacts, 0)
