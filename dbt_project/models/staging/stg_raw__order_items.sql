select
    order_id::text as order_id,
    product_id::text as product_id,
    line_number::integer as line_number,
    quantity::numeric as quantity,
    unit_price::numeric as unit_price
from {{ source('raw', 'order_items') }}
