-- depends_on: {{ ref('int_run_days') }}, {{ ref('stg_raw__orders') }}, {{ ref('stg_outbox__runs') }}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['contact_id', 'order_id'],
    on_schema_change='fail',
    indexes=[
        {'columns': ['contact_id', 'purchased_at']},
        {'columns': ['order_id']},
        {'columns': ['purchased_at']},
        {'columns': ['order_updated_at']},
    ],
    pre_hook='{{ forget_changed_purchases() }}',
) }}

-- Late, changed and refunded orders come in by their updated_at and are written again, those of the future when their time has come; cancelled
-- ones are gone (macros/purchases.sql).
with orders as (
    select * from {{ changed_orders() if is_incremental() else ref('stg_raw__orders') }}
),

changed as (
    select *
    from orders
    where
        orders.ordered_at < {{ newest_clock() if is_incremental() else run_clock() }}
        and {{ is_purchase('orders') }}
),

final as (
    select
        contact_id,
        order_id,
        coupon_code,
        currency,
        {{ order_status('changed') }} = 'refunded' or coalesce(refunded_total, 0) > 0 as is_refunded,
        total,
        {{ order_revenue('changed') }} as revenue,
        ordered_at as purchased_at,
        updated_at as order_updated_at
    from changed
    {%- if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as kept
        where kept.order_id = changed.order_id and kept.order_updated_at = changed.updated_at
    )
    {%- endif %}
)

select * from final
