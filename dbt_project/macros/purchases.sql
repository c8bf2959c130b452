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
   between the two would count for both. Beside them those whose time has come since, however long they have been there. Those that were
   cancelled, moved to somebody else or put off beyond every run's clock go. #}
{% macro forget_changed_purchases() %}
{%- if is_incremental() -%}
create temporary table {{ changed_orders() }} on commit drop as
select *
from {{ ref('stg_raw__orders') }} as orders
where
    {{ changed_since('orders.updated_at', this, 'order_updated_at') }}
    or {{ placed_since(this) }};

analyze {{ changed_orders() }};

delete from {{ this }} as purchases
using {{ changed_orders() }} as orders
where
    purchases.order_id = orders.order_id
    and (
        {{ order_status('orders') }} = 'cancelled'
        or orders.contact_id is distinct from purchases.contact_id
        or orders.ordered_at >= {{ newest_clock() }}
    )
{%- endif -%}
{% endmacro %}

{# Whether an order lies between the newest one that is kept and the clock: an index range. An order of the future was left out by earlier
   builds, and nothing of it changes when its time comes. Both ends are written into the statement, as in changed_since(). #}
{% macro placed_since(built) -%}
    {%- if not execute -%}
    true
    {%- else -%}
    {%- set found = run_query(
        "select coalesce(max(kept.purchased_at), '-infinity')::text as since, (" ~ newest_clock() ~ ")::text as clock from "
        ~ built ~ " as kept"
    ).rows[0] -%}
    (orders.ordered_at >= '{{ found["since"] }}'::timestamptz and orders.ordered_at < '{{ found["clock"] }}'::timestamptz)
    {%- endif -%}
{%- endmacro %}

{# The present of the run being built, or of the newest one: a day that is run out of order takes nothing away from those after it. #}
{% macro newest_clock() -%}
    greatest({{ run_clock() }}, (select max(newest.clock) from {{ ref('stg_outbox__runs') }} as newest))
{%- endmacro %}

{% macro changed_orders() -%}
orders_changed_since
{%- endmacro %}
