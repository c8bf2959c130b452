{# The instant of a contact's last activity of any kind in [since, before), as a scalar: one index look-up per kind.
   An open or a click counts when a person did it; a machine's never. `since` may be none. #}
{% macro last_activity_at(contact_id, before, since=none) -%}
    greatest(
        (
            select max(orders.ordered_at)
            from {{ ref('stg_raw__orders') }} as orders
            where
                orders.contact_id = {{ contact_id }}
                and orders.ordered_at < {{ before }}
                {% if since %}and orders.ordered_at >= {{ since }}{% endif %}
                and {{ is_purchase('orders') }}
        ),
        (
            select max(visits.visited_at)
            from {{ ref('stg_raw__site_visits') }} as visits
            where
                visits.contact_id = {{ contact_id }}
                and visits.visited_at < {{ before }}
                {% if since %}and visits.visited_at >= {{ since }}{% endif %}
        ),
        (
            select max(engagements.occurred_at)
            from {{ ref('stg_raw__engagements') }} as engagements
            where
                engagements.contact_id = {{ contact_id }}
                and engagements.occurred_at < {{ before }}
                {% if since %}and engagements.occurred_at >= {{ since }}{% endif %}
                and {{ is_human('engagements') }}
        ),
        (
            select max(engagements.occurred_at)
            from {{ ref('stg_outbox__messages') }} as messages
            inner join {{ ref('stg_events__engagement_events') }} as engagements
                on engagements.message_id = messages.message_id
            where
                messages.contact_id = {{ contact_id }}
                and engagements.occurred_at < {{ before }}
                {% if since %}and engagements.occurred_at >= {{ since }}{% endif %}
                and {{ is_human('engagements') }}
        )
    )
{%- endmacro %}

{% macro is_human(engagements) -%}
    {{ engagements }}.kind in ('opened', 'clicked') and not coalesce({{ engagements }}.is_machine, false)
{%- endmacro %}

{# Every sign of life in [since, before): contact_id, happened_at. Index ranges, one per kind. #}
{% macro activities_between(since, before) %}
        select
            orders.contact_id,
            orders.ordered_at as happened_at
        from {{ ref('stg_raw__orders') }} as orders
        where orders.ordered_at >= {{ since }} and orders.ordered_at < {{ before }} and {{ is_purchase('orders') }}
        union all
        select
            visits.contact_id,
            visits.visited_at as happened_at
        from {{ ref('stg_raw__site_visits') }} as visits
        where visits.visited_at >= {{ since }} and visits.visited_at < {{ before }}
        union all
        select
            engagements.contact_id,
            engagements.occurred_at as happened_at
        from {{ ref('stg_raw__engagements') }} as engagements
        where
            engagements.occurred_at >= {{ since }}
            and engagements.occurred_at < {{ before }}
            and {{ is_human('engagements') }}
        union all
        select
            messages.contact_id,
            engagements.occurred_at as happened_at
        from {{ ref('stg_events__engagement_events') }} as engagements
        inner join {{ ref('stg_outbox__messages') }} as messages on messages.message_id = engagements.message_id
        where
            engagements.occurred_at >= {{ since }}
            and engagements.occurred_at < {{ before }}
            and {{ is_human('engagements') }}
        offset 0
{% endmacro %}
