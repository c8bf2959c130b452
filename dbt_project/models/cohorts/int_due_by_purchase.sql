{{ config(materialized='ephemeral') }}

-- An index range for the window's orders, and one look-up per contact for a later order: see macros/dormant.sql.
with windows as (
    select * from {{ ref('int_windows') }}
    where trigger = 'clock' and campaign_clock = 'last_purchase'
),

last_purchases as (
    select
        windows.window_no,
        windows.timezone,
        windows.closes_at,
        windows.wait_days,
        purchases.contact_id,
        max(purchases.ordered_at) as started_at,
        (max(purchases.ordered_at) at time zone windows.timezone)::date as episode_on
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
    group by windows.window_no, windows.timezone, windows.closes_at, windows.wait_days, purchases.contact_id
),

final as (
    select
        window_no,
        contact_id,
        null::uuid as parent_message_id,
        episode_on,
        episode_on + wait_days as due_on,
        started_at
    from last_purchases
    where
        (
            select orders.ordered_at
            from {{ ref('stg_raw__orders') }} as orders
            where
                orders.contact_id = last_purchases.contact_id
                and orders.ordered_at >= last_purchases.closes_at
                and orders.ordered_at
                < {{ day_start('last_purchases.episode_on + last_purchases.wait_days', 'last_purchases.timezone') }}
                and {{ is_purchase('orders') }}
            order by orders.ordered_at
            limit 1
        ) is null
)

select * from final
