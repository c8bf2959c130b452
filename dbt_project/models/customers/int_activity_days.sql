-- depends_on: {{ ref('int_run_days') }}, {{ ref('int_runs') }}, {{ ref('stg_outbox__runs') }}, {{ ref('order_statuses') }}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['contact_id', 'active_on', 'kind'], 'unique': true}, {'columns': ['active_on']}],
    pre_hook='{{ forget_changed_activity() }}',
) }}

-- Whole days at a time, from the last day that was run to the clock. Orders that came late, were cancelled, refunded or corrected come in by
-- their updated_at: the purchase days of their contacts are written again. The hook has said who they are and
-- deleted what is written here.
{% set built = this if is_incremental() else none %}
{% set span = activity_span(built) %}
with signs as (
    select
        'purchase' as kind,
        orders.contact_id,
        orders.ordered_at as happened_at
    from {{ ref('stg_raw__orders') }} as orders
    where {{ within('orders.ordered_at', span) }} and {{ is_purchase('orders') }}
    {%- if built and span %}
    union all
    select
        'purchase' as kind,
        orders.contact_id,
        orders.ordered_at as happened_at
    from {{ changed_contacts() }} as changed
    cross join lateral (
        select *
        from {{ ref('stg_raw__orders') }} as placed
        where
            placed.contact_id = changed.contact_id
            and placed.ordered_at < '{{ span.known_until }}'::timestamptz
            and not ({{ within('placed.ordered_at', span) }})
        offset 0
    ) as orders
    where {{ is_purchase('orders') }}
    {%- endif %}
    union all
    select
        'visit' as kind,
        visits.contact_id,
        visits.visited_at as happened_at
    from {{ ref('stg_raw__site_visits') }} as visits
    where {{ within('visits.visited_at', span) }}
    union all
    select
        case engagements.kind when 'clicked' then 'click' else 'open' end as kind,
        engagements.contact_id,
        engagements.occurred_at as happened_at
    from {{ ref('stg_raw__engagements') }} as engagements
    where {{ within('engagements.occurred_at', span) }} and {{ is_human('engagements') }}
    union all
    select
        case engagements.kind when 'clicked' then 'click' else 'open' end as kind,
        messages.contact_id,
        engagements.occurred_at as happened_at
    from {{ ref('stg_events__engagement_events') }} as engagements
    inner join {{ ref('stg_outbox__messages') }} as messages on messages.message_id = engagements.message_id
    where {{ within('engagements.occurred_at', span) }} and {{ is_human('engagements') }}
),

final as (
    select
        contact_id,
        (happened_at at time zone '{{ span.timezone | default("UTC") }}')::date as active_on,
        kind,
        count(*) as times,
        min(happened_at) as first_at,
        max(happened_at) as last_at
    from signs
    where contact_id is not null
    group by contact_id, (happened_at at time zone '{{ span.timezone | default("UTC") }}')::date, kind
)

select * from final
