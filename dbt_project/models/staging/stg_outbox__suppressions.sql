with source as (
    select * from {{ source('outbox', 'suppression') }}
),

renamed as (
    select
        id as suppression_id,
        channel,
        address_hash,
        reason,
        suppressed_at,
        until as suppressed_until,
        lifted_at
    from source
)

select * from renamed
