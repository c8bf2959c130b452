{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='sold_on',
    on_schema_change='fail',
    indexes=[
        {'columns': ['sold_on', 'product_id'], 'unique': true},
        {'columns': ['product_id', 'sold_on']},
    ],
) }}

-- Counts the days of the trailing four weeks that int_product_sales has counted since; yesterday, as a rule.
with wanted as (
    select distinct day.sold_on::date as sold_on
    from {{ ref('int_run_days') }} as run_days
    cross join lateral generate_series(run_days.as_of - 28, run_days.as_of - 1, interval '1 day') as day (sold_on)
),

days as (
    select wanted.sold_on
    from wanted
    {%- if is_incremental() %}
    where
        (
            select sales.known_at
            from {{ ref('int_product_sales') }} as sales
            where sales.sold_on = wanted.sold_on
            order by sales.sold_on, sales.product_id
            limit 1
        ) is distinct from (
            select counted.known_at
            from {{ this }} as counted
            where counted.sold_on = wanted.sold_on
            order by counted.sold_on, counted.product_id
            limit 1
        )
    {%- endif %}
),

final as (
    select
        sales.product_id,
        min(sales.currency) as lowest_currency,
        max(sales.currency) as highest_currency,
        count(sales.order_id) as orders,
        coalesce(sum(sales.units), 0) as units,
        sales.sold_on,
        max(sales.known_at) as known_at
    from days
    -- OFFSET 0: of one day the planner may not make a merge over all of them.
    cross join lateral (
        select *
        from {{ ref('int_product_sales') }} as listed
        where listed.sold_on = days.sold_on
        offset 0
    ) as sales
    group by sales.sold_on, sales.product_id
)

select * from final
