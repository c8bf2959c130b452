with source as (
    select * from {{ source('outbox', 'time_zone') }}
),

renamed as (
    select
        zone
    from source
)

select * from renamed
