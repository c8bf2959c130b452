with messages as (
    select * from {{ source('outbox', 'message') }}
),

final as (
    select
        run_id,
        campaign,
        step,
        channels[channel_no] as channel,
        state,
        reason,
        count(*) as messages,
        as_of
    from messages
    group by run_id, campaign, step, channels[channel_no], state, reason, as_of
)

select * from final
