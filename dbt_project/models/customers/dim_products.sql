{{ config(materialized='live_view') }}

with products as (
    select * from {{ ref('stg_raw__products') }}
),

final as (
    select
        product_id,
        product_name,
        -- A shop without categories still gets diverse pictures: each product is then a shelf of its own.
        coalesce(nullif(btrim(category), ''), product_name) as category,
        image_url,
        product_url,
        price,
        is_in_stock,
        launched_at
    from products
    where
        image_url ~ '^https://[^[:space:]]+$'
        and product_url ~ '^https://[^[:space:]]+$'
        and btrim(product_name) <> ''
        and price > 0
        and is_in_stock is not false
)

select * from final
