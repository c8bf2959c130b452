select
    order_id::text as order_id,
    contact_id::text as contact_id,
    status::text as status,
    currency::text as currency,
    coupon_code::text as coupon_code,
    total::numeric as total,
    refunded_total::numeric as refunded_total,
    ordered_at::timestamptz as ordered_at,
    updated_at::timestamptz as updated_at
from {{ source('raw', 'orders') }}
