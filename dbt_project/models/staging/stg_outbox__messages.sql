with source as (
    select * from {{ source('outbox', 'message') }}
),

renamed as (
    select
        id as message_id,
        run_id,
        contact_id,
        campaign,
        step,
        mode,
        state,
        channels,
        channel_no,
        accepted_channel,
        coupon_grant_id,
        definition_hash,
        step_days,
        as_of,
        episode_on,
        due_on,
        not_before,
        not_after,
        planned_at,
        accepted_at
    from source
)

select * from renamed
