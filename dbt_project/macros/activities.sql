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

{# The span that a build of activity days writes again, looked up first so that the planner meets literals: whole days in `timezone`, from
   the last day that was run (or the last that is there) to the run's clock; `known_until`: the newest clock of any run. A day is not
   cut off at its clock again once a later one has been run. Nothing without a run. `built`: none at a first build, which takes everything. #}
{% macro activity_span(built) %}
    {%- if not execute -%}
    {{ return({}) }}
    {%- endif -%}
    {%- set query %}
    with days as (
        select
            (array_agg(run_days.timezone order by run_days.priority, run_days.campaign))[1] as timezone,
            min(coalesce(run_days.previous_as_of, run_days.as_of - 1)) as since_on,
            {{ run_clock() }} as clock,
            (select max(runs.clock) from {{ ref('stg_outbox__runs') }} as runs) as newest_clock
        from {{ ref('int_run_days') }} as run_days
        having count(*) > 0
    ),

    span as (
        select
            *,
            {%- if built %}
            least(since_on, (select max(kept.active_on) from {{ built }} as kept)) as first_on,
            {%- else %}
            '-infinity'::date as first_on,
            {%- endif %}
            (clock at time zone timezone)::date as last_on
        from days
    )

    select
        timezone,
        first_on::text as first_on,
        last_on::text as last_on,
        {{ day_start('first_on', 'timezone') }}::text as since,
        ({{ day_start('first_on', 'timezone') }} - interval '{{ var("lookback") }}')::text as changed_since,
        greatest(clock, least(newest_clock, {{ day_start('last_on + 1', 'timezone') }}))::text as before,
        {%- if built %}
        greatest(clock, newest_clock)::text as known_until
        {%- else %}
        clock::text as known_until
        {%- endif %}
    from span
    {%- endset -%}
    {%- set found = run_query(query) -%}
    {{ return(found.rows[0].dict() if found.rows | length else {}) }}
{% endmacro %}

{# Whether an instant lies in the span of activity_span(); never without one. #}
{% macro within(happened_at, span) -%}
    {%- if span -%}
    {{ happened_at }} >= '{{ span.since }}'::timestamptz and {{ happened_at }} < '{{ span.before }}'::timestamptz
    {%- else -%}
    false
    {%- endif -%}
{%- endmacro %}

{# Whose purchase days may be wrong: contacts of orders that changed or came since the span began (the last build ended within it) and lie
   outside of it, or were another contact's or another day's before (history has them once more). An order new in the span is not among them. #}
{% macro contacts_of_changed_orders(span) %}
    with changed as materialized (
        select
            orders.order_id,
            orders.contact_id,
            orders.ordered_at
        from {{ ref('stg_raw__orders') }} as orders
        where
            orders.updated_at > '{{ span.changed_since }}'::timestamptz
            -- Of the future only what was put off by now: it may have had a day before.
            and least(orders.ordered_at, orders.updated_at) < '{{ span.known_until }}'::timestamptz
    )

    select changed.contact_id
    from changed
    where
        (changed.ordered_at < '{{ span.since }}'::timestamptz or changed.ordered_at >= '{{ span.before }}'::timestamptz)
        and changed.ordered_at < '{{ span.known_until }}'::timestamptz
        and changed.contact_id is not null
    union
    select unnest(array[changed.contact_id, earlier.contact_id]) as contact_id
    from changed
    cross join lateral (
        select history.contact_id
        from {{ ref('order_statuses') }} as history
        where history.order_id = changed.order_id and history.dbt_valid_to is not null
        offset 0
    ) as earlier
{% endmacro %}

{# What is written again goes first: the days of the span, and every purchase day of the contacts whose orders changed. Who they are is
   written down once, for this and for the model: a loader that commits in between would otherwise have days written that were not
   deleted, or deleted that are not written. The hook and the model are one transaction of one connection. #}
{% macro forget_changed_activity() %}
{%- set span = activity_span(this) if is_incremental() else {} -%}
{%- if span -%}
create temporary table {{ changed_contacts() }} on commit drop as
{{ contacts_of_changed_orders(span) }};

analyze {{ changed_contacts() }};

delete from {{ this }} as kept
where
    kept.kind = 'purchase'
    and kept.contact_id = any(array(select contact_id from {{ changed_contacts() }}));

delete from {{ this }} as kept
where kept.active_on >= '{{ span.first_on }}'::date and kept.active_on <= '{{ span.last_on }}'::date
{%- endif -%}
{% endmacro %}

{% macro changed_contacts() -%}
contacts_with_changed_orders
{%- endmacro %}
