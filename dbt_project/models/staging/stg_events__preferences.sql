select
    event_key,
    message_id,
    channel,
    address_hash,
    kind,
    until as paused_until,
    occurred_at
from {{ source('events', 'preference') }}
