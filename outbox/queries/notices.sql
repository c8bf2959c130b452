-- Alerts to the team: the protocol of messages, without consent or quiet hours.

-- name: raise_notice(kind, subject, on_day, title, body, at)!
-- One notice per kind, subject and day; one that was raised before stays as it is.
insert into outbox.notice (kind, subject, on_day, title, body, raised_at)
values (:kind, :subject, :on_day, :title, :body, :at)
on conflict do nothing;

-- name: raise_requested(run_id, at)!
-- The notices that a run's models ask for.
insert into outbox.notice (kind, subject, on_day, title, body, raised_at)
select kind, subject, on_day, title, body, :at
from handoff.notice_requests
where run_id = :run_id
on conflict do nothing;

-- name: open_notices(worker, at, lease)
-- Takes the notices that wait and opens an attempt for each.
with picked as (
    select n.id from outbox.notice n where n.state = 'planned' order by n.raised_at, n.id for update skip locked
), moved as (
    update outbox.notice n set state = 'sending' from picked p where n.id = p.id
    returning n.id, n.kind, n.subject, n.on_day, n.title, n.body
), opened as (
    insert into outbox.notice_attempt (notice_id, attempt_no, worker, opened_at, lease_until)
    select m.id, 1 + coalesce((select max(a.attempt_no) from outbox.notice_attempt a where a.notice_id = m.id), 0),
        :worker, :at, clock_timestamp() + :lease::interval
    from moved m
    returning notice_id, attempt_no
)
select m.id as notice_id, o.attempt_no, m.kind, m.subject, m.on_day, m.title, m.body
from moved m
join opened o on o.notice_id = m.id
order by m.kind, m.subject;

-- name: record_notice(notice_id, attempt_no, outcome, provider_message_id, error_code, at)^
-- What became of one notice: not sent is planned again, unknown is in doubt.
with closed as (
    update outbox.notice_attempt
    set outcome = :outcome, closed_at = greatest(:at, opened_at), provider_message_id = :provider_message_id, error_code = :error_code
    where notice_id = :notice_id and attempt_no = :attempt_no and outcome = 'open'
    returning notice_id, outcome, closed_at
)
update outbox.notice n
set state = case c.outcome when 'not_sent' then 'planned' when 'unknown' then 'in_doubt' else c.outcome end,
    accepted_at = case when c.outcome = 'accepted' then c.closed_at end
from closed c
where n.id = c.notice_id
returning n.state;

-- name: sweep_notices(at)!
-- Notices whose sender died: they may have left.
with closed as (
    update outbox.notice_attempt
    set outcome = 'unknown', closed_at = greatest(:at, opened_at), error_code = 'lease_expired'
    where outcome = 'open' and lease_until < clock_timestamp()
    returning notice_id
)
update outbox.notice n set state = 'in_doubt' from closed c where n.id = c.notice_id and n.state = 'sending';

-- name: waiting_notices()$
-- How many notices wait to be sent.
select count(*) from outbox.notice where state = 'planned';
