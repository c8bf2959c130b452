-- The sample data holds its own future, and so will a backfill: nothing after this instant has happened yet. The ledger's own times
-- alone, for they are in the runs' clock; providers date their events as they like.
with days as (
    select * from {{ source('outbox', 'run_day') }}
),

final as (
    select greatest(
        (select max(clock) from days),
        -- No message is accepted so late that one of an earlier day's could be the newest.
        (
            select max(messages.accepted_at)
            from {{ source('outbox', 'message') }} as messages
            where messages.as_of >= {{ oldest_recent_run() }}
        )
    ) as reporting_at
)

select * from final
