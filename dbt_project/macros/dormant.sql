{# The body of dormant_at_<days>: contacts whose last purchase before the start of D lies exactly `days` before D.
   An index range for the orders of one day, then one index look-up per contact for a later order: it costs what the day costs.
   The scalar subquery is on purpose. As a NOT EXISTS the planner may turn it into a join over the whole history. #}
{% macro dormant_at(days) %}
with days as (
    {%- if is_incremental() %}
    select distinct on (as_of)
        as_of,
        timezone
    from {{ ref('int_run_days') }}
    order by as_of, priority, campaign
    {%- else %}
    select * from {{ ref('int_days') }}
    -- depends_on: {{ ref('int_run_days') }}
    {%- endif %}
),

windows as (
    select
        as_of,
        as_of - {{ days }} as last_purchase_on,
        {{ day_start('as_of - ' ~ days, 'timezone') }} as opens_at,
        {{ day_start('as_of - ' ~ days ~ ' + 1', 'timezone') }} as closes_at,
        {{ day_start('as_of', 'timezone') }} as day_start
    from days
),

last_of_the_day as (
    select
        windows.as_of,
        windows.last_purchase_on,
        windows.closes_at,
        windows.day_start,
        purchases.contact_id,
        max(purchases.ordered_at) as last_purchase_at
    from windows
    cross join lateral (
        select
            orders.contact_id,
            orders.ordered_at
        from {{ ref('stg_raw__orders') }} as orders
        where
            orders.ordered_at >= windows.opens_at
            and orders.ordered_at < windows.closes_at
            and {{ is_purchase('orders') }}
        offset 0
    ) as purchases
    group by windows.as_of, windows.last_purchase_on, windows.closes_at, windows.day_start, purchases.contact_id
),

dormant as (
    select *
    from last_of_the_day
    where
        (
            select orders.ordered_at
            from {{ ref('stg_raw__orders') }} as orders
            where
                orders.contact_id = last_of_the_day.contact_id
                and orders.ordered_at >= last_of_the_day.closes_at
                and orders.ordered_at < last_of_the_day.day_start
                and {{ is_purchase('orders') }}
            order by orders.ordered_at
            limit 1
        ) is null
    offset 0
),

-- Of two purchases at the same moment the higher order_id is the last.
final as (
    select
        dormant.contact_id,
        dormant.as_of,
        {{ days }} as days_away,
        dormant.last_purchase_on,
        dormant.last_purchase_at,
        last_orders.order_id as last_order_id,
        last_orders.currency as last_order_currency,
        last_orders.revenue as last_order_revenue
    from dormant
    cross join lateral (
        select
            orders.order_id,
            orders.currency,
            {{ order_revenue('orders') }} as revenue
        from {{ ref('stg_raw__orders') }} as orders
        where
            orders.contact_id = dormant.contact_id
            and orders.ordered_at = dormant.last_purchase_at
            and {{ is_purchase('orders') }}
        order by orders.order_id desc
        limit 1
    ) as last_orders
)

select * from final
{% endmacro %}

{# Before the days of this run are written again, what was there goes, contacts that have left the cohort since included. #}
{% macro forget_run_days() %}
{%- if is_incremental() -%}
delete from {{ this }} where as_of in (select run_days.as_of from {{ ref('int_run_days') }} as run_days)
{%- endif -%}
{% endmacro %}
