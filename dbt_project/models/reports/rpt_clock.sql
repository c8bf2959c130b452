-- The sample data holds its own future, and so will a backfill: in a simulation nothing after this instant has happened yet. The ledger's
-- own times alone, for they are in the runs' clock; providers date their events as they like. A live ledger stands in the present, which
-- nobody could pass to whoever asks a view: purchases, opens and cancellations since the last message count.
with days as (
    select
        run_days.clock,
        runs.mode
    from {{ source('outbox', 'run_day') }} as run_days
    inner join {{ source('outbox', 'run') }} as runs on runs.run_id = run_days.run_id
),

final as (
    select
        case
            when bool_or(days.mode = 'simulated')
                then greatest(
                    max(days.clock),
                    -- No message is accepted so late that one of an earlier day's could be the newest.
                    (
                        select max(messages.accepted_at)
                        from {{ source('outbox', 'message') }} as messages
                        where messages.as_of >= {{ oldest_recent_run() }}
                    )
                )
            when count(*) > 0 then outbox.present()
        end as reporting_at
    from days
)

select * from final
