-- What the pages ask of the reports schema. Every number on a page is a column of one of these rows.

-- name: clock()^
-- The instant up to which everything is counted.
select reporting_at from reports.rpt_clock;

-- name: runs(first, last)
-- The runs of a stretch of days, oldest first; null: no limit on that side.
select *
from reports.rpt_runs
where
    (:first::date is null or last_as_of >= :first)
    and (:last::date is null or first_as_of <= :last)
order by first_as_of, created_at, run_id;

-- name: last_day()^
-- The last day that was run.
select max(as_of) as as_of from outbox.run_day;

-- name: run(run_id)^
-- One run.
select * from reports.rpt_runs where run_id = :run_id;

-- name: steps(runs)
-- The steps of the runs' campaigns, in their order; a step that changed on the way shows its newest form.
select distinct on (priority, campaign, position, step) steps.*
from reports.rpt_steps as steps
inner join reports.rpt_runs as runs on runs.bundle_hash = steps.bundle_hash
where runs.run_id = any(:runs)
order by priority, campaign, position, step, runs.created_at desc;

-- name: headline(runs)^
-- What a marketer asks first. People are counted once each, however many messages they had; a person's step once, by its last decision.
with messages as (
    select
        count(distinct contact_id) filter (where is_reached) as people_reached,
        count(*) filter (where state = 'accepted') as accepted,
        count(*) filter (where state = 'in_doubt') as in_doubt,
        count(*) filter (where state in ('planned', 'sending')) as waiting
    from reports.rpt_messages
    where run_id = any(:runs)
),

decisions as (
    select distinct on (campaign, step, contact_id, episode_on) *
    from reports.rpt_decisions
    where run_id = any(:runs)
    order by campaign, step, contact_id, episode_on, decision = 'send' desc, as_of desc, archived_at desc
),

decided as (
    select
        count(*) as evaluated,
        count(*) filter (where decision = 'send') as send,
        count(*) filter (where decision = 'send' and mode = 'shadow') as shadow,
        count(*) filter (where decision = 'hold') as hold,
        count(*) filter (where decision = 'skip') as skip,
        count(*) filter (where decision = 'holdout') as holdout
    from decisions
)

select * from messages cross join decided;

-- name: orders(runs)
-- The orders credited to the runs' messages, counted in one go: over all, by currency, by step, by step and currency, by day.
select
    case
        when grouping(as_of) = 0 then 'day'
        when grouping(step, currency) = 0 then 'step and currency'
        when grouping(step) = 0 then 'step'
        when grouping(currency) = 0 then 'currency'
        else 'all'
    end as counted_by,
    campaign,
    step,
    currency,
    as_of,
    count(distinct contact_id) filter (where is_first) as people_came_back,
    count(distinct contact_id) filter (where is_attributed) as people_attributed,
    count(distinct message_id) filter (where is_first) as messages_came_back,
    count(*) as orders,
    count(*) filter (where is_attributed) as attributed_orders,
    count(*) filter (where has_used_code) as code_orders,
    count(*) filter (where refunded > 0) as refunded_orders,
    sum(revenue) as revenue,
    sum(refunded) as refunded
from reports.rpt_return_orders
where run_id = any(:runs)
group by grouping sets ((), (currency), (campaign, step), (campaign, step, currency), (as_of))
order by counted_by, campaign, step, orders desc, currency, as_of;

-- name: stages(runs, came_back)
-- The way from everybody looked at to who came back; a share only where its base is big enough to mean something.
with decisions as (
    select distinct on (campaign, step, contact_id, episode_on) *
    from reports.rpt_decisions
    where run_id = any(:runs)
    order by campaign, step, contact_id, episode_on, decision = 'send' desc, as_of desc, archived_at desc
),

decided as (
    select
        count(*) as evaluated,
        count(*) filter (where decision = 'send') as send
    from decisions
),

sent as (
    select
        count(*) filter (where state = 'accepted') as accepted,
        count(delivered_at) as delivered,
        count(opened_at) as opened,
        count(clicked_at) as clicked
    from reports.rpt_messages
    where run_id = any(:runs)
),

stages as (
    select stage.*, decided.evaluated
    from decided
    cross join sent
    cross join lateral (
        values
            (1, 'evaluated', decided.evaluated),
            (2, 'send', decided.send),
            (3, 'accepted', sent.accepted),
            (4, 'delivered', sent.delivered),
            (5, 'opened', sent.opened),
            (6, 'clicked', sent.clicked),
            (7, 'came_back', :came_back::bigint)
    ) as stage (position, stage, counted)
)

select
    position,
    stage,
    counted,
    max(counted) over () as widest,
    case when evaluated >= 30 and position > 1 then round(100.0 * counted / evaluated) end as percent
from stages
order by position;

-- name: left_out(runs)
-- Everyone who was not written to, by reason: decided so, stopped at the last moment, or refused by the provider.
with decisions as (
    select distinct on (campaign, step, contact_id, episode_on) *
    from reports.rpt_decisions
    where run_id = any(:runs)
    order by campaign, step, contact_id, episode_on, decision = 'send' desc, as_of desc, archived_at desc
),

decided as (
    select
        decision as kind,
        reason,
        campaign,
        step,
        count(*) as contacts
    from decisions
    where decision <> 'send'
    group by decision, reason, campaign, step
),

stopped as (
    select
        'stopped' as kind,
        coalesce(reason, state) as reason,
        campaign,
        step,
        sum(messages)::bigint as contacts
    from reports.rpt_sends
    where run_id = any(:runs) and state in ('skipped', 'expired')
    group by coalesce(reason, state), campaign, step
),

refused as (
    select
        'refused' as kind,
        coalesce(error_code, reason, state) as reason,
        campaign,
        step,
        count(*) as contacts
    from reports.rpt_messages
    where run_id = any(:runs) and state = 'rejected'
    group by coalesce(error_code, reason, state), campaign, step
),

everyone as (
    select * from decided
    union all
    select * from stopped
    union all
    select * from refused
)

select
    kind,
    reason,
    sum(contacts)::bigint as contacts,
    jsonb_object_agg(campaign || '.' || step, contacts) as by_step,
    max(sum(contacts)) over ()::bigint as widest
from everyone
group by kind, reason
order by array_position(array['skip', 'hold', 'holdout', 'stopped', 'refused'], kind), contacts desc, reason;

-- name: sends(runs)
-- Messages by step and channel, their states side by side.
select
    campaign,
    step,
    channel,
    sum(messages)::bigint as messages,
    coalesce(sum(messages) filter (where state = 'accepted'), 0)::bigint as accepted,
    coalesce(sum(messages) filter (where state = 'rejected'), 0)::bigint as rejected,
    coalesce(sum(messages) filter (where state = 'in_doubt'), 0)::bigint as in_doubt,
    coalesce(sum(messages) filter (where state in ('planned', 'sending')), 0)::bigint as waiting,
    coalesce(sum(messages) filter (where state in ('skipped', 'expired')), 0)::bigint as stopped
from reports.rpt_sends
where run_id = any(:runs)
group by campaign, step, channel
order by campaign, step, channel;

-- name: engagement(runs)
-- What came back of the accepted messages, by step and channel; a share only of thirty or more.
with summed as (
    select
        campaign,
        step,
        channel,
        sum(accepted)::bigint as accepted,
        sum(delivered)::bigint as delivered,
        sum(opened)::bigint as opened,
        sum(opened_by_machine_only)::bigint as opened_by_machine_only,
        sum(clicked)::bigint as clicked,
        sum(bounced)::bigint as bounced,
        sum(unsubscribed)::bigint as unsubscribed,
        sum(complained)::bigint as complained
    from reports.rpt_engagement
    where run_id = any(:runs)
    group by campaign, step, channel
)

select
    *,
    case when delivered >= 30 then round(100.0 * opened / delivered) end as opened_percent,
    case when delivered >= 30 then round(100.0 * clicked / delivered) end as clicked_percent
from summed
order by campaign, step, channel;

-- name: reached(runs)
-- The people that each step reached.
select campaign, step, count(distinct contact_id) as people_reached
from reports.rpt_messages
where run_id = any(:runs) and is_reached
group by campaign, step
order by campaign, step;

-- name: purchases(runs, most)
-- The newest purchases after a message, at most :most; whose they are is not said.
select
    campaign, step, channel, ordered_on, currency, revenue, refunded, attributed_by, has_used_code, is_first,
    ordered_at, accepted_at
from reports.rpt_return_orders
where run_id = any(:runs)
order by ordered_at desc, order_id
limit :most;

-- name: holdout(first, last)
-- Who was to be written to beside who was left alone, of the people who entered in these days.
with summed as (
    select
        campaign,
        arm,
        sum(people)::bigint as people,
        sum(people_bought)::bigint as people_bought,
        sum(people_fully_watched)::bigint as people_fully_watched
    from reports.rpt_holdout
    where as_of between :first and :last
    group by campaign, arm
)

select
    *,
    case when people >= 30 then round(100.0 * people_bought / people, 1) end as percent,
    min(people) over (partition by campaign) < 30 or count(*) over (partition by campaign) < 2 as is_too_small,
    people_fully_watched < people as is_still_watched
from summed
order by campaign, arm desc;

-- name: coupons(last)
-- Each pool at the end of :last, with its last days for a line.
with pools as materialized (
    select * from reports.rpt_coupons where as_of between :last::date - 13 and :last
),

history as (
    select
        promotion,
        jsonb_agg(
            jsonb_build_object('as_of', as_of, 'codes_left', codes_left, 'loaded', loaded, 'granted', granted_today)
            order by as_of
        ) as days
    from pools
    group by promotion
)

select distinct on (pools.promotion) pools.*, history.days
from pools
inner join history on history.promotion = pools.promotion
order by pools.promotion, pools.as_of desc;

-- name: alerts(first, last)
-- What the team was told about these days.
select * from reports.rpt_alerts where on_day between :first and :last order by on_day, raised_at, kind, subject;

-- name: days(runs)
-- One row per day that was run: what was decided and sent, with the height of a chart over them all.
with runs as (
    select * from reports.rpt_runs where run_id = any(:runs)
),

calendar as (
    select
        first_as_of as as_of,
        (array_agg(run_id order by (messages > 0) desc, created_at desc))[1] as run_id
    from runs
    group by first_as_of
),

decided as (
    select
        as_of,
        sum(standing_contacts)::bigint as evaluated,
        coalesce(sum(standing_contacts) filter (where decision = 'send'), 0)::bigint as send,
        coalesce(sum(standing_contacts) filter (where decision = 'hold'), 0)::bigint as hold,
        coalesce(sum(standing_contacts) filter (where decision = 'skip'), 0)::bigint as skip,
        coalesce(sum(standing_contacts) filter (where decision = 'holdout'), 0)::bigint as holdout
    from reports.rpt_run_funnel
    where run_id = any(:runs)
    group by as_of
),

sent as (
    select
        as_of,
        count(*) filter (where state = 'accepted') as accepted,
        count(distinct contact_id) filter (where is_reached) as people_reached,
        count(opened_at) as opened,
        count(clicked_at) as clicked
    from reports.rpt_messages
    where run_id = any(:runs)
    group by as_of
),

final as (
    select
        calendar.as_of,
        calendar.run_id,
        runs.state,
        runs.is_held,
        coalesce(decided.evaluated, 0) as evaluated,
        coalesce(decided.send, 0) as send,
        coalesce(decided.hold, 0) as hold,
        coalesce(decided.skip, 0) as skip,
        coalesce(decided.holdout, 0) as holdout,
        coalesce(sent.accepted, 0) as accepted,
        coalesce(sent.people_reached, 0) as people_reached,
        coalesce(sent.opened, 0) as opened,
        coalesce(sent.clicked, 0) as clicked
    from calendar
    inner join runs on runs.run_id = calendar.run_id
    left join decided on decided.as_of = calendar.as_of
    left join sent on sent.as_of = calendar.as_of
)

select
    *,
    greatest(max(evaluated) over (), 1) as highest,
    send + hold as send_and_hold,
    send + hold + holdout as send_hold_and_holdout
from final
order by as_of;

-- name: unfinished_run(holder)^
-- The run that a holder began and that never came to its end.
select run_id from outbox.run where holder = :holder and state in ('building', 'built', 'validated');

-- name: newest_run()^
-- The newest run as the ledger has it, for where dbt has built no report yet.
select run.state, run.detail, (select max(day.as_of) from outbox.run_day as day where day.run_id = run.run_id) as as_of
from outbox.run
order by run.created_at desc
limit 1;
