select
    id as grant_id,
    promotion,
    code,
    contact_id,
    campaign,
    step,
    as_of,
    episode_on,
    granted_at,
    valid_until,
    released_at
from {{ source('outbox', 'coupon_grant') }}
