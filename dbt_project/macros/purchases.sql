{# An order's status as it is meant: letters' case, blanks around it and the American spelling are the loader's. The gate's volume.py has the same. #}
{% macro order_status(orders) -%}
    replace(lower(btrim({{ orders }}.status, E' \t\r\n')), 'canceled', 'cancelled')
{%- endmacro %}

{# A purchase is an order that was not cancelled. A refunded one keeps the clock and loses the revenue. #}
{% macro is_purchase(orders) -%}
    {{ orders }}.contact_id is not null and {{ order_status(orders) }} is distinct from 'cancelled'
{%- endmacro %}

{% macro order_revenue(orders) -%}
    (
        {{ orders }}.total - coalesce(
            {{ orders }}.refunded_total, case when {{ order_status(orders) }} = 'refunded' then {{ orders }}.total else 0 end
        )
    )::numeric
{%- endmacro %}

{# The orders that changed since the last build, written down once for the hook and the model: one that a loader moves to another contact
   between the two would count for both. Those that were cancelled or moved go. #}
{% macro forget_changed_purchases() %}
{%- if is_incremental() -%}
create temporary table {{ changed_orders() }} on commit drop as
select *
from {{ ref('stg_raw__orders') }} as orders
where {{ changed_since('orders.updated_at', this, 'order_updated_at') }};

analyze {{ changed_orders() }};

delete from {{ this }} as purchases
using {{ changed_orders() }} as orders
where
    purchases.order_id = orders.order_id
    and ({{ order_status('orders') }} = 'cancelled' or orders.contact_id is distinct from purchases.contact_id)
{%- endif -%}
{% endmacro %}

{% macro changed_orders() -%}
orders_changed_since
{%- endmacro %}
