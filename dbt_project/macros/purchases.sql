{# A purchase is an order that was not cancelled. A refunded one keeps the clock and loses the revenue. #}
{% macro is_purchase(orders) -%}
    {{ orders }}.contact_id is not null and lower({{ orders }}.status) is distinct from 'cancelled'
{%- endmacro %}

{% macro order_revenue(orders) -%}
    (
        {{ orders }}.total - coalesce(
            {{ orders }}.refunded_total, case when lower({{ orders }}.status) = 'refunded' then {{ orders }}.total else 0 end
        )
    )::numeric
{%- endmacro %}

{# Orders that were cancelled or moved to another contact since the last build. #}
{% macro forget_changed_purchases() %}
{%- if is_incremental() -%}
delete from {{ this }} as purchases
using {{ ref('stg_raw__orders') }} as orders
where
    purchases.order_id = orders.order_id
    and (lower(orders.status) = 'cancelled' or orders.contact_id is distinct from purchases.contact_id)
    and {{ changed_since('orders.updated_at', this, 'order_updated_at') }}
{%- endif -%}
{% endmacro %}
