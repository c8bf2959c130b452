with source as (
    select * from {{ source('outbox', 'definition') }}
),

renamed as (
    select
        hash as definition_hash,
        kind,
        body
    from source
)

select * from renamed
