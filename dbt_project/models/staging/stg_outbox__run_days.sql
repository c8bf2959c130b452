with source as (
    select * from {{ source('outbox', 'run_day') }}
),

renamed as (
    select
        run_id,
        as_of,
        clock
    from source
)

select * from renamed
