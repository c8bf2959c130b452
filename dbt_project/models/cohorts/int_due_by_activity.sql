{{ config(materialized='ephemeral') }}

-- Any sign of life counts: a purchase, a person's open or click, a visit. Who never gave one began on the day they were created.
with windows as (
    select * from {{ ref('int_windows') }}
    where trigger = 'clock' and campaign_clock = 'last_activity'
),

active as (
    select distinct
        windows.window_no,
        windows.timezone,
        windows.opens_at,
        windows.closes_at,
        windows.wait_days,
        signs.contact_id
    from windows
    cross join lateral (
        select around.contact_id
        from (
            {{ activities_between('windows.opens_at', 'windows.closes_at') }}
        ) as around
        union all
        select contacts.contact_id
        from {{ ref('stg_raw__contacts') }} as contacts
        where contacts.created_at >= windows.opens_at and contacts.created_at < windows.closes_at
    ) as signs
),

started as (
    select
        active.*,
        coalesce(
            {{ last_activity_at('active.contact_id', 'active.closes_at') }},
            (
                select contacts.created_at
                from {{ ref('stg_raw__contacts') }} as contacts
                where contacts.contact_id = active.contact_id
            )
        ) as started_at
    from active
    -- Looked up once, not once for each use of the column.
    offset 0
),

episodes as (
    select
        started.*,
        (started_at at time zone timezone)::date as episode_on,
        {{ day_start('(started_at at time zone timezone)::date + wait_days', 'timezone') }} as due_at
    from started
    where started_at >= opens_at and started_at < closes_at
),

final as (
    select
        window_no,
        contact_id,
        null::uuid as parent_message_id,
        episode_on,
        episode_on + wait_days as due_on,
        started_at
    from episodes
    where {{ last_activity_at('episodes.contact_id', 'episodes.due_at', since='episodes.closes_at') }} is null
)

select * from final
