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
