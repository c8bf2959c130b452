select
    contact_id::text as contact_id,
    campaign::text as campaign,
    channel::text as channel,
    sent_at::timestamptz as sent_at
from {{ source('raw', 'campaign_sends') }}
