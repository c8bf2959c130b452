select
    id as suppression_id,
    channel,
    address_hash,
    reason,
    suppressed_at,
    until as suppressed_until,
    lifted_at,
    source,
    {{ is_about_address('reason') }} as is_about_address
from {{ source('outbox', 'suppression') }}
