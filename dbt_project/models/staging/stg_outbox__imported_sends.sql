select
    contact_id,
    campaign,
    step,
    channel,
    step_days,
    episode_on,
    sent_on
from {{ source('outbox', 'imported_send') }}
