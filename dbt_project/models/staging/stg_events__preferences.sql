with source as (
    select * from {{ source('events', 'preference') }}
),

renamed as (
    select
        event_key,
        message_id,
        channel,
        address_hash,
        kind,
        until as paused_until,
        occurred_at
    from source
)

select * from renamed
