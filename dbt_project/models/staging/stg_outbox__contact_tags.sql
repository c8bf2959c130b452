select
    id as contact_tag_id,
    contact_id,
    tag,
    added_at,
    removed_at
from {{ source('outbox', 'contact_tag') }}
