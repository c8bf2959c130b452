{# What the run being built was granted does not count: built again, it proposes the same again. #}
{% macro is_of_another_run(grants, run_id) -%}
    not exists (
        select 1
        from {{ ref('stg_outbox__messages') }} as messages
        where messages.coupon_grant_id = {{ grants }}.grant_id and messages.run_id = {{ run_id }}
    )
{%- endmacro %}

{# A code is free when nobody holds it, no order has used it, and it lasts as long as an offer made with it. #}
{% macro is_unused_code(codes, run_id) -%}
    not exists (
        select 1
        from {{ ref('stg_outbox__coupon_grants') }} as grants
        where
            grants.code = {{ codes }}.code
            and grants.released_at is null
            and {{ is_of_another_run('grants', run_id) }}
    )
    and not exists (
        select 1
        from {{ ref('stg_raw__orders') }} as orders
        -- The second condition keeps orders without a code out of any plan.
        where orders.coupon_code = {{ codes }}.code and orders.coupon_code is not null
    )
{%- endmacro %}
