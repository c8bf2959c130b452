select
    endpoint::text as endpoint,
    contact_id::text as contact_id,
    p256dh::text as p256dh,
    auth::text as auth,
    subscribed_at::timestamptz as subscribed_at
from {{ source('raw', 'web_push_subscriptions') }}
