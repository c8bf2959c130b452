with source as (
    select * from {{ source('raw', 'loads') }}
),

renamed as (
    select
        table_name::text as table_name,
        complete_through::timestamptz as complete_through
    from source
)

select * from renamed
