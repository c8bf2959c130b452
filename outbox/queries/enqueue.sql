-- Freezing: what the gate let pass becomes decisions, grants and messages, in one transaction.

-- name: take_grant_lock(lock)^
-- First statement of the transaction: one freezing at a time, or two runs would grant one code.
select pg_advisory_xact_lock(:lock);

-- name: run_for_enqueue(run_id)^
-- The run, locked, so that nobody calls it abandoned meanwhile.
select run_id, mode, clock, target, state, definition_hash, request_count, request_checksum, verdict, enqueued
from outbox.run
where run_id = :run_id
for update;

-- name: handoff_totals(run_id)^
-- What lies in the hand-off now; the gate wrote down what lay there when it judged.
select request_count, request_checksum, target from handoff.handoff_totals where run_id = :run_id;

-- name: uneven_pools(run_id)
-- Promotions whose arithmetic is wrong: need is what was proposed plus what stayed unserved, and who was sent a coupon step has a code of their own.
with proposed as (
    select promotion, count(*) as codes, count(distinct code) as different
    from allocations.coupon_allocations where run_id = :run_id group by promotion
), short as (
    select promotion, sum(needed) as needed, sum(unserved) as unserved
    from allocations.coupon_shortfalls where run_id = :run_id group by promotion
), requested as (
    select r.promotion, count(*) as requests, count(a.code) as with_their_code
    from handoff.send_requests r
    left join allocations.coupon_allocations a
        on a.run_id = r.run_id and a.promotion = r.promotion and a.code = r.coupon_code
        and a.contact_id = r.contact_id and a.campaign = r.campaign and a.episode_on = r.episode_on and a.step = r.step
    where r.run_id = :run_id and r.promotion is not null
    group by r.promotion
)
select promotion, coalesce(needed, codes, 0) as needed, coalesce(codes, 0) as proposed, coalesce(unserved, 0) as unserved,
    coalesce(different, 0) as different, coalesce(requests, 0) as requested, coalesce(with_their_code, 0) as with_their_code
from proposed full join short using (promotion) full join requested using (promotion)
where (needed is not null and needed <> coalesce(codes, 0) + coalesce(unserved, 0))
    or codes <> different
    or requests <> with_their_code;

-- name: unmatched_sends(run_id)
-- Decisions to send and requests (of a message, or of a tag alone) that do not match one to one: nobody may fall between the two.
with decided as (
    select campaign, step, contact_id, episode_on
    from cohorts.fct_decisions
    where run_id = :run_id and decision = 'send' and mode <> 'shadow'
), requested as (
    select campaign, step, contact_id, episode_on from handoff.send_requests where run_id = :run_id
    union all
    select campaign, step, contact_id, episode_on from handoff.tag_requests where run_id = :run_id and action = 'add'
)
select campaign, step, count(d.contact_id) as decided, count(r.contact_id) as requested
from decided d full join requested r using (campaign, step, contact_id, episode_on)
group by campaign, step
having count(d.contact_id) <> count(*) or count(r.contact_id) <> count(*);

-- name: archive_decisions(run_id, withheld, at)!
-- The archive of what was decided. A campaign that the gate held, or nobody approved, is archived as held: its people are decided anew
-- tomorrow, and so is whoever it skips for what the data say today: a load that lost the consents would settle them for good. Final is
-- what no load brings back: a day that has passed, a message that was sent, a step that is switched off.
insert into outbox.decision (
    run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision, reason, reasons, variant, seen,
    definition_hash, archived_at
)
select d.run_id, d.as_of, d.contact_id, d.campaign, d.step, d.episode_on, d.due_on, d.mode,
    case when w.reason is not null then 'hold' else d.decision end,
    coalesce(w.reason, d.reason),
    case when w.reason is not null then array[w.reason] else '{}' end || coalesce(d.reasons, '{}'),
    d.variant, coalesce(d.seen, '{}'), d.definition_hash, :at
from cohorts.fct_decisions d
left join jsonb_each_text(:withheld::jsonb) as w (campaign, reason)
    on w.campaign = d.campaign
    and d.mode <> 'shadow'
    and d.decision in ('send', 'skip')
    and not coalesce(d.reasons, '{}') && array['too_late', 'already_messaged', 'before_live', 'step_disabled']
where d.run_id = :run_id;

-- name: freeze(run_id, withheld, at)^
-- Messages, the grants that belong to them, and coupon_assigned, in one statement: a grant exists only with the message it is for.
-- A replayed or slightly shifted episode finds its message there, or the mark of what another tool sent, and asks for nothing; the keys refuse everything else, loudly: on conflict
-- do nothing would lose people in silence, and looks into every index before it writes. The lock lets nobody freeze in between.
-- What another tool sent to the person's other contacts, or under a step's former key, the decision saw; a file read since stops the
-- message at the claim, which gives its code back.
-- A message, its grant and its event have one id, made once: each of the three is written from the same rows.
with requested as materialized (
    select r.*, outbox.new_id() as id
    from handoff.send_requests r
    where r.run_id = :run_id and not :withheld::jsonb ? r.campaign and not exists (
        select from outbox.message m
        where m.contact_id = r.contact_id and m.campaign = r.campaign and m.step = r.step and (
            m.episode_on = r.episode_on
            or (
                m.state not in ('skipped', 'expired', 'rejected')
                and m.episode_on < r.episode_on + r.step_days
                and m.episode_on + m.step_days > r.episode_on
            )
        )
    ) and not exists (
        select from outbox.imported_send i
        where i.contact_id = r.contact_id and i.campaign = r.campaign and i.step = r.step
            and i.episode_on < r.episode_on + r.step_days
            and i.episode_on + i.step_days > r.episode_on
    )
    order by r.contact_id        -- as most of the indexes lie
), planned as (
    insert into outbox.message (
        id, run_id, campaign, contact_id, episode_on, step, step_days, as_of, due_on, mode, channels, template_hash, merge_fields,
        variant, offer, coupon_grant_id, tag, consent, definition_hash, not_before, not_after, planned_at
    )
    select r.id, r.run_id, r.campaign, r.contact_id, r.episode_on, r.step, r.step_days, r.as_of, r.due_on, r.mode, r.channels,
        r.template_hash, r.merge_fields, r.variant, r.offer, case when r.coupon_code is not null then r.id end, r.tag, r.consent,
        r.definition_hash, r.not_before, r.not_after, :at
    from requested r
    returning coupon_grant_id
), granted as (
    insert into outbox.coupon_grant (
        id, promotion, code, contact_id, campaign, episode_on, step, as_of, granted_at, valid_until
    )
    select r.id, r.promotion, r.coupon_code, r.contact_id, r.campaign, r.episode_on, r.step, r.as_of, :at, r.valid_until
    from requested r
    where r.coupon_code is not null
    returning 1
), assigned as (
    insert into outbox.contact_event (contact_id, name, payload, occurred_at, caused_by)
    select r.contact_id, coalesce(r.contact_event, 'coupon_assigned'), jsonb_build_object(
        'promotion', r.promotion, 'code', r.coupon_code, 'campaign', r.campaign, 'step', r.step, 'valid_until', r.valid_until
    ), :at, r.id
    from requested r
    where r.coupon_code is not null
    returning 1
)
select
    asked.requests,
    asked.coupons,
    (select count(*) from planned) as messages,
    (select count(coupon_grant_id) from planned) as with_coupon,
    (select count(*) from granted) as grants,
    (select count(*) from assigned) as events
from (
    select count(*) as requests, count(coupon_code) as coupons
    from handoff.send_requests r
    where r.run_id = :run_id and not :withheld::jsonb ? r.campaign
) as asked;

-- name: apply_tag_requests(run_id, withheld, at)^
-- Tags that a decision adds or removes by itself, without a message.
with asked as (
    select t.contact_id, t.tag, t.action
    from handoff.tag_requests t
    where t.run_id = :run_id and not :withheld::jsonb ? t.campaign
), removed as (
    update outbox.contact_tag tag set removed_at = greatest(:at, tag.added_at)
    from asked a
    where a.action = 'remove' and tag.contact_id = a.contact_id and tag.tag = a.tag and tag.removed_at is null
    returning 1
), added as (
    insert into outbox.contact_tag (contact_id, tag, added_at, caused_by)
    select distinct a.contact_id, a.tag, :at::timestamptz, :run_id::uuid from asked a where a.action = 'add'
    on conflict do nothing
    returning 1
)
select (select count(*) from added) as tags_added, (select count(*) from removed) as tags_removed;

-- name: archived_counts(run_id)
-- How the archived decisions of a run add up.
select decision, count(*) as contacts from outbox.decision where run_id = :run_id group by decision order by decision;

-- name: mark_enqueued(run_id, enqueued)!
-- The run is frozen; its answer is kept for a task that asks again.
update outbox.run set state = 'enqueued', enqueued = :enqueued::jsonb, closed_at = clock_timestamp()
where run_id = :run_id;

-- name: take_grant_lock_of_session(lock)^
-- The same lock before the transaction begins, because its snapshot must be taken after an earlier freezing has committed.
select pg_advisory_lock(:lock);
