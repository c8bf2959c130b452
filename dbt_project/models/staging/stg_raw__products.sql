select
    product_id::text as product_id,
    name::text as product_name,
    category::text as category,
    image_url::text as image_url,
    product_url::text as product_url,
    price::numeric as price,
    in_stock::boolean as is_in_stock,
    launched_at::timestamptz as launched_at,
    updated_at::timestamptz as updated_at
from {{ source('raw', 'products') }}
