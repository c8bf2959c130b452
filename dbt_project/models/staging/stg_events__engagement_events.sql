with source as (
    select * from {{ source('events', 'engagement_event') }}
),

renamed as (
    select
        event_key,
        message_id,
        channel,
        kind,
        is_machine,
        occurred_at,
        received_at
    from source
)

select * from renamed
