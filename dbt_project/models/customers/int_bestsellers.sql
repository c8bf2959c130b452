{{ config(materialized='table', indexes=[{'columns': ['as_of', 'rank']}]) }}

with run_days as (
    select
        as_of,
        max(clock) as clock
    from {{ ref('int_run_days') }}
    group by as_of
),

-- What the widest step shows: that many there must be, whatever shelves they stand on.
widest as (
    select coalesce(max(recommendations), 0) as products
    from {{ ref('int_campaign_steps') }}
),

counted as (
    select
        run_days.as_of,
        run_days.clock,
        daily.product_id,
        min(daily.lowest_currency) as lowest_currency,
        max(daily.highest_currency) as highest_currency,
        sum(daily.orders) as orders,
        sum(daily.units) as units
    from run_days
    inner join {{ ref('int_bestsellers_daily') }} as daily
        on daily.sold_on between run_days.as_of - 28 and run_days.as_of - 1
    where daily.product_id is not null
    group by run_days.as_of, run_days.clock, daily.product_id
),

-- Amounts of two currencies are never shown as one: where the shop has several, prices go without. Where no order says what it
-- held, the last thousand tell the shop's currency.
currencies as (
    select
        as_of,
        lowest_currency,
        highest_currency
    from counted
    union all
    select
        run_days.as_of,
        upper(latest.currency) as lowest_currency,
        upper(latest.currency) as highest_currency
    from run_days
    cross join lateral (
        select purchases.currency
        from {{ ref('fct_purchases') }} as purchases
        where
            purchases.purchased_at < run_days.clock
            and not exists (select from counted where counted.as_of = run_days.as_of)
        order by purchases.purchased_at desc
        limit 1000
    ) as latest
),

currency as (
    select
        as_of,
        case when min(lowest_currency) = max(highest_currency) then upper(min(lowest_currency)) end as currency
    from currencies
    group by as_of
),

-- The most sold thousand are enough to find sixty that can be shown; each is one look-up.
most_sold as materialized (
    select *
    from (
        select
            counted.*,
            row_number() over (partition by as_of order by orders desc, units desc, product_id) as sold_rank
        from counted
    ) as ranked
    where sold_rank <= 1000
),

sold as materialized (
    select
        most_sold.as_of,
        most_sold.product_id,
        shown.category,
        most_sold.orders,
        most_sold.units
    from most_sold
    cross join lateral (
        select products.category
        from {{ ref('dim_products') }} as products
        where
            products.product_id = most_sold.product_id
            and coalesce(products.launched_at <= most_sold.clock, true)
        offset 0
    ) as shown
),

-- Where too little was sold to fill a mail, the newest products stand in.
newest as (
    select
        run_days.as_of,
        listed.product_id,
        listed.category,
        0 as orders,
        0 as units
    from run_days
    cross join lateral (
        select
            products.product_id,
            products.category
        from {{ ref('dim_products') }} as products
        where
            coalesce(products.launched_at <= run_days.clock, true)
            and not exists (select from sold where sold.as_of = run_days.as_of and sold.product_id = products.product_id)
        order by products.launched_at desc nulls last, products.product_id
        limit 20
    ) as listed
    where (select count(*) from sold where sold.as_of = run_days.as_of) < 20
),

on_shelves as (
    select
        listed.*,
        row_number() over (
            partition by as_of, category order by orders desc, units desc, product_id
        ) as category_rank
    from (select * from sold union all select * from newest) as listed
),

-- A fourth of a category comes after all shelves, and only where those hold too few.
ranked as (
    select
        *,
        row_number() over (
            partition by as_of order by category_rank > 3, orders desc, units desc, product_id
        ) as rank
    from on_shelves
),

final as (
    select
        ranked.product_id,
        ranked.category,
        currency.currency,
        ranked.rank,
        ranked.orders,
        ranked.units,
        ranked.as_of
    from ranked
    cross join widest
    left join currency on currency.as_of = ranked.as_of
    where ranked.rank <= 60 and (ranked.category_rank <= 3 or ranked.rank <= widest.products)
)

select * from final
