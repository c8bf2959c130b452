{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='sold_on',
    on_schema_change='fail',
    indexes=[
        {'columns': ['sold_on', 'product_id', 'order_id'], 'unique': true},
        {'columns': ['product_id', 'ordered_at']},
        {'columns': ['order_id']},
        {'columns': ['known_at']},
    ],
    post_hook='delete from {{ this }} where sold_on < (select min(as_of) - 90 from {{ ref("int_run_days") }})',
) }}

-- A copy of the last 90 days of raw.order_items, because nobody's loader indexes lines by product. A day is counted once it is
-- over, and again when one of its orders has changed since; days that no window reaches any more are dropped.
with run_days as (
    select distinct
        run_days.as_of,
        run_days.timezone,
        run_days.clock
    from {{ ref('int_run_days') }} as run_days
    inner join {{ ref('int_campaign_steps') }} as steps
        on steps.run_id = run_days.run_id and steps.campaign = run_days.campaign
    where steps.recommendations > 0 and steps.is_enabled
),

wanted as (
    select
        day.sold_on::date as sold_on,
        min(run_days.timezone) as timezone,
        max(run_days.clock) as known_at
    from run_days
    cross join lateral generate_series(run_days.as_of - 90, run_days.as_of - 1, interval '1 day') as day (sold_on)
    group by day.sold_on
),

{% if is_incremental() %}
-- Late orders that their day does not hold yet, and cancelled ones that it still does.
changed as materialized (
    select distinct (orders.ordered_at at time zone run_days.timezone)::date as sold_on
    from (select max(clock) as clock, min(timezone) as timezone from run_days) as run_days
    cross join lateral (
        select candidates.*
        from {{ ref('stg_raw__orders') }} as candidates
        where
            candidates.updated_at > (
                select max(counted.known_at) - interval '{{ var("lookback") }}'
                from {{ this }} as counted
                where counted.known_at < run_days.clock
            )
            and candidates.updated_at <= run_days.clock
        offset 0
    ) as orders
    where
        ({{ is_purchase('orders') }})
        <> exists (select from {{ this }} as counted where counted.order_id = orders.order_id)
),

{% endif %}
days as (
    select
        sold_on,
        known_at,
        {{ day_start('sold_on', 'timezone') }} as opens_at,
        {{ day_start('sold_on + 1', 'timezone') }} as closes_at
    from wanted
    {%- if is_incremental() %}
    where
        (
            select true
            from {{ this }} as counted
            where counted.sold_on = wanted.sold_on
            order by counted.sold_on, counted.product_id
            limit 1
        ) is null
        or sold_on in (select changed.sold_on from changed)
    {%- endif %}
),

sales as (
    select
        days.sold_on,
        orders.order_id,
        orders.currency,
        orders.ordered_at,
        items.product_id,
        sum(items.quantity) as units
    from days
    cross join lateral (
        select
            placed.order_id,
            placed.currency,
            placed.ordered_at
        from {{ ref('stg_raw__orders') }} as placed
        where
            placed.ordered_at >= days.opens_at
            and placed.ordered_at < days.closes_at
            and {{ is_purchase('placed') }}
        offset 0
    ) as orders
    cross join lateral (
        select
            lines.product_id,
            lines.quantity
        from {{ ref('stg_raw__order_items') }} as lines
        where lines.order_id = orders.order_id
        offset 0
    ) as items
    group by days.sold_on, orders.order_id, orders.currency, orders.ordered_at, items.product_id
),

final as (
    select
        sales.order_id,
        sales.product_id,
        sales.currency,
        sales.units,
        days.sold_on,
        sales.ordered_at,
        days.known_at
    from days
    left join sales on sales.sold_on = days.sold_on
)

select * from final
