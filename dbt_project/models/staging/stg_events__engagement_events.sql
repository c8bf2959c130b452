select
    event_key,
    message_id,
    channel,
    kind,
    is_machine,
    occurred_at,
    received_at
from {{ source('events', 'engagement_event') }}
