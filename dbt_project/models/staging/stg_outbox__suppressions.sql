select
    id as suppression_id,
    channel,
    address_hash,
    reason,
    suppressed_at,
    until as suppressed_until,
    lifted_at
from {{ source('outbox', 'suppression') }}
