-- What share of a campaign's messages fails.

-- name: error_share(campaign, channel, since, clock, percent, least)^
-- Of what providers answered lately: how many messages of the campaign failed on the channel, the last of them, and how many were taken.
-- Nothing is counted as failed that is the address's own fault, or our worker's death. What was taken is counted only where failures are
-- enough to stop for, newest days first, and no further than it takes to see that the share is small.
with failed as materialized (
    select count(*) as messages, max(a.closed_at) as last_at
    from outbox.attempt a
    cross join lateral (select m.campaign from outbox.message m where m.id = a.message_id offset 0) as sent
    where a.outcome in ('unknown', 'rejected') and a.closed_at > :since and a.closed_at <= :clock
        and a.is_address_fault is not true and a.error_code is distinct from 'lease_expired'
        and a.channel = :channel and sent.campaign = :campaign
)
select failed.messages as failed, failed.last_at, taken.messages as taken
from failed
cross join lateral (
    select count(*) as messages
    from (
        select 1
        from outbox.message m
        where failed.messages * 100 > :percent::integer * :least::integer
            and m.as_of > :clock::timestamptz::date - 40 and m.campaign = :campaign
            and m.state = 'accepted' and m.accepted_channel = :channel
            and m.accepted_at > :since and m.accepted_at <= :clock
        order by m.as_of desc
        limit (failed.messages * 100 / :percent::integer + :least::integer)
    ) as found
) as taken;
