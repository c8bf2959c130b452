{{ config(materialized='table', indexes=[{'columns': ['as_of', 'contact_id']}]) }}

-- For the day's candidates alone, and bounded at every turn: 6 baskets a contact, 8 products out of them, the newest 40
-- orders of each of these products, 40 companions a contact. `offset 0` keeps each look-up an index look-up: without it the
-- planner may join the whole history.
with candidates as materialized (
    select distinct
        decisions.as_of,
        decisions.contact_id,
        run_days.day_start,
        run_days.clock
    from {{ ref('int_decisions') }} as decisions
    inner join {{ ref('int_run_days') }} as run_days
        on
            run_days.run_id = decisions.run_id
            and run_days.campaign = decisions.campaign
            and run_days.as_of = decisions.as_of
    inner join {{ ref('int_campaign_steps') }} as steps
        on
            steps.run_id = decisions.run_id
            and steps.campaign = decisions.campaign
            and steps.step = decisions.step
    where decisions.decision = 'send' and steps.recommendations > 0
),

baskets as materialized (
    select
        candidates.*,
        recent.order_id,
        recent.number
    from candidates
    cross join lateral (
        select
            orders.order_id,
            row_number() over (order by orders.ordered_at desc, orders.order_id desc) as number
        from {{ ref('stg_raw__orders') }} as orders
        where
            orders.contact_id = candidates.contact_id
            and orders.ordered_at < candidates.day_start
            and {{ is_purchase('orders') }}
        order by orders.ordered_at desc, orders.order_id desc
        limit 6
    ) as recent
),

bought as materialized (
    select
        baskets.as_of,
        baskets.contact_id,
        baskets.day_start,
        baskets.clock,
        items.product_id,
        count(*) as times,
        -- The last basket counts whole, each one before it a fifth less.
        sum(power(0.8, baskets.number - 1)) as weight,
        min(baskets.number) as last_basket
    from baskets
    cross join lateral (
        select distinct lines.product_id
        from {{ ref('stg_raw__order_items') }} as lines
        where lines.order_id = baskets.order_id
        offset 0
    ) as items
    group by baskets.as_of, baskets.contact_id, baskets.day_start, baskets.clock, items.product_id
),

seeds as materialized (
    select *
    from (
        select
            bought.*,
            row_number() over (
                partition by as_of, contact_id order by weight desc, last_basket, product_id
            ) as seed_rank
        from bought
    ) as ranked
    where seed_rank <= 8
),

-- Once for each product, however many contacts bought it.
sampled as materialized (
    select
        seed_products.as_of,
        seed_products.clock,
        seed_products.product_id as seed_id,
        recent.order_id,
        count(*) over (partition by seed_products.as_of, seed_products.product_id) as seed_orders
    from (
        select
            as_of,
            product_id,
            max(day_start) as day_start,
            max(clock) as clock
        from seeds
        group by as_of, product_id
    ) as seed_products
    cross join lateral (
        select sales.order_id
        from {{ ref('int_product_sales') }} as sales
        where
            sales.product_id = seed_products.product_id
            and sales.ordered_at < seed_products.day_start
            and sales.ordered_at >= seed_products.day_start - interval '90 days'
        order by sales.ordered_at desc, sales.order_id desc
        limit 40
    ) as recent
),

-- How often two products share a basket, of all the baskets that hold the first.
pairs as materialized (
    select
        sampled.as_of,
        sampled.seed_id,
        shared.product_id,
        count(*)::numeric / max(sampled.seed_orders) as confidence,
        max(sampled.clock) as clock
    from sampled
    cross join lateral (
        select sales.product_id
        from {{ ref('int_product_sales') }} as sales
        where sales.order_id = sampled.order_id and sales.product_id <> sampled.seed_id
        offset 0
    ) as shared
    group by sampled.as_of, sampled.seed_id, shared.product_id
    having count(*) >= 2
),

-- What everybody buys goes with everything: the rarer a product, the more a shared basket says.
companion_products as materialized (
    select
        listed.as_of,
        listed.product_id,
        shown.category,
        ln(1 + top.orders / greatest(coalesce(sold.orders, 0), 1)) as rarity
    from (
        select
            as_of,
            product_id,
            max(clock) as clock
        from pairs
        group by as_of, product_id
    ) as listed
    cross join lateral (
        select products.category
        from {{ ref('dim_products') }} as products
        where products.product_id = listed.product_id and coalesce(products.launched_at <= listed.clock, true)
        offset 0
    ) as shown
    cross join lateral (
        select coalesce(max(bestsellers.orders), 1)::numeric as orders
        from {{ ref('int_bestsellers') }} as bestsellers
        where bestsellers.as_of = listed.as_of
    ) as top
    cross join lateral (
        select sum(daily.orders) as orders
        from {{ ref('int_bestsellers_daily') }} as daily
        where
            daily.product_id = listed.product_id
            and daily.sold_on between listed.as_of - 28 and listed.as_of - 1
    ) as sold
),

companions as (
    select
        seeds.as_of,
        seeds.contact_id,
        pairs.product_id,
        companion_products.category,
        'companion' as kind,
        sum(seeds.weight * pairs.confidence * companion_products.rarity) as score
    from seeds
    inner join pairs on pairs.as_of = seeds.as_of and pairs.seed_id = seeds.product_id
    inner join companion_products
        on companion_products.as_of = pairs.as_of and companion_products.product_id = pairs.product_id
    left join bought
        on
            bought.as_of = seeds.as_of
            and bought.contact_id = seeds.contact_id
            and bought.product_id = pairs.product_id
    where bought.product_id is null
    group by seeds.as_of, seeds.contact_id, pairs.product_id, companion_products.category
),

-- Groceries are bought again; what was bought once may have been a present.
favorites as (
    select
        bought.as_of,
        bought.contact_id,
        bought.product_id,
        shown.category,
        'favorite' as kind,
        bought.weight as score
    from bought
    cross join lateral (
        select products.category
        from {{ ref('dim_products') }} as products
        where products.product_id = bought.product_id and coalesce(products.launched_at <= bought.clock, true)
        offset 0
    ) as shown
    where bought.times >= 2
),

ranked as (
    select
        listed.*,
        row_number() over (
            partition by as_of, contact_id, kind order by round(score, 6) desc, product_id
        ) as kind_rank
    from (select * from companions union all select * from favorites) as listed
),

final as (
    select
        contact_id,
        product_id,
        category,
        kind,
        kind_rank,
        round(score, 6) as score,
        as_of
    from ranked
    where kind_rank <= 40
)

select * from final
