with source as (
    select * from {{ source('outbox', 'contact_tag') }}
),

renamed as (
    select
        id as contact_tag_id,
        contact_id,
        tag,
        added_at,
        removed_at
    from source
)

select * from renamed
