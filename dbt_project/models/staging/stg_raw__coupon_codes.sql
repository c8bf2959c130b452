select
    code::text as code,
    promotion::text as promotion,
    expires_at::timestamptz as expires_at,
    loaded_at::timestamptz as loaded_at
from {{ source('raw', 'coupon_codes') }}
