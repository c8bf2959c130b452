select
    engagement_id::text as engagement_id,
    contact_id::text as contact_id,
    kind::text as kind,
    channel::text as channel,
    is_machine::boolean as is_machine,
    occurred_at::timestamptz as occurred_at
from {{ source('raw', 'engagements') }}
