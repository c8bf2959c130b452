with source as (
    select * from {{ source('outbox', 'run') }}
),

renamed as (
    select
        run_id,
        mode,
        definition_hash,
        target,
        state,
        clock,
        created_at
    from source
)

select * from renamed
