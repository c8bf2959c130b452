-- The sample data holds its own future, and so will a backfill: nothing after this instant has happened yet.
with final as (
    select greatest(
        (select max(clock) from {{ source('outbox', 'run_day') }}),
        (select max(accepted_at) from {{ source('outbox', 'message') }}),
        (select max(occurred_at) from {{ source('events', 'delivery_event') }}),
        (select max(occurred_at) from {{ source('events', 'engagement_event') }})
    ) as reporting_at
)

select * from final
