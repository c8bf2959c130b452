{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['contact_id', 'active_on', 'kind'],
    on_schema_change='fail',
    indexes=[{'columns': ['contact_id', 'active_on', 'kind'], 'unique': true}, {'columns': ['active_on']}],
) }}

-- Whole days at a time, from the last day that was run to the clock. A purchase is here as it was known then: what was cancelled or came
-- late after that is in fct_purchases, and decisions look at the sources.
with days as (
    select * from {{ ref('int_run_days') }}
),

bounds as (
    select
        (array_agg(days.timezone order by days.priority, days.campaign))[1] as timezone,
        {%- if is_incremental() %}
        min(coalesce(days.previous_as_of, days.as_of - 1)::timestamp at time zone days.timezone) as since,
        {%- else %}
        '-infinity'::timestamptz as since,
        {%- endif %}
        {{ run_clock() }} as before
    from days
    having count(*) > 0
),

signs as (
    select
        'purchase' as kind,
        orders.contact_id,
        orders.ordered_at as happened_at
    from bounds
    cross join lateral (
        select *
        from {{ ref('stg_raw__orders') }} as listed
        where listed.ordered_at >= bounds.since and listed.ordered_at < bounds.before
        offset 0
    ) as orders
    where {{ is_purchase('orders') }}
    union all
    select
        'visit' as kind,
        visits.contact_id,
        visits.visited_at as happened_at
    from bounds
    cross join lateral (
        select *
        from {{ ref('stg_raw__site_visits') }} as listed
        where listed.visited_at >= bounds.since and listed.visited_at < bounds.before
        offset 0
    ) as visits
    union all
    select
        case engagements.kind when 'clicked' then 'click' else 'open' end as kind,
        engagements.contact_id,
        engagements.occurred_at as happened_at
    from bounds
    cross join lateral (
        select *
        from {{ ref('stg_raw__engagements') }} as listed
        where listed.occurred_at >= bounds.since and listed.occurred_at < bounds.before and {{ is_human('listed') }}
        offset 0
    ) as engagements
    union all
    select
        case engagements.kind when 'clicked' then 'click' else 'open' end as kind,
        messages.contact_id,
        engagements.occurred_at as happened_at
    from bounds
    cross join lateral (
        select *
        from {{ ref('stg_events__engagement_events') }} as listed
        where listed.occurred_at >= bounds.since and listed.occurred_at < bounds.before and {{ is_human('listed') }}
        offset 0
    ) as engagements
    inner join {{ ref('stg_outbox__messages') }} as messages on messages.message_id = engagements.message_id
),

final as (
    select
        signs.contact_id,
        (signs.happened_at at time zone bounds.timezone)::date as active_on,
        signs.kind,
        count(*) as times,
        min(signs.happened_at) as first_at,
        max(signs.happened_at) as last_at
    from signs
    cross join bounds
    where signs.contact_id is not null
    group by signs.contact_id, (signs.happened_at at time zone bounds.timezone)::date, signs.kind
)

select * from final
