-- The sample data holds its own future, and so will a backfill: nothing after this instant has happened yet. The ledger's own times
-- alone, for they are in the runs' clock; providers date their events as they like.
with final as (
    select greatest(
        (select max(clock) from {{ source('outbox', 'run_day') }}),
        (select max(accepted_at) from {{ source('outbox', 'message') }}),
        (select max(closed_at) from {{ source('outbox', 'message') }})
    ) as reporting_at
)

select * from final
