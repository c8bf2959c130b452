-- A step without channels tags by itself; the tag of a message comes with its acceptance instead. Any activity takes such a tag away again.
with decisions as (
    select * from {{ ref('int_decisions') }}
    where decision = 'send' and mode <> 'shadow' and cardinality(reachable_channels) = 0
),

days as (
    select * from {{ ref('int_run_days') }}
),

steps as (
    select * from {{ ref('int_campaign_steps') }}
    where cardinality(channels) = 0 and tag is not null
),

tags as (
    select * from {{ ref('stg_outbox__contact_tags') }}
    where removed_at is null
),

added as (
    select
        decisions.run_id,
        decisions.as_of,
        decisions.contact_id,
        decisions.campaign,
        decisions.episode_on,
        decisions.step,
        steps.tag,
        'add' as action
    from decisions
    inner join steps
        on steps.run_id = decisions.run_id and steps.campaign = decisions.campaign and steps.step = decisions.step
),

-- Who was active since the last day that was run, and carries the tag: the day's activities are looked through, not all tags. So are those
-- of some days before it: a visit may land as late as a message may leave.
active as (
    select
        days.run_id,
        days.campaign,
        days.as_of,
        days.timezone,
        days.clock,
        signs.contact_id,
        max(signs.happened_at) as happened_at
    from days
    cross join lateral (
        {{ activities_between('days.day_start - (days.as_of - coalesce(days.previous_as_of, days.as_of) + 1 + days.max_late_days) * interval \'1 day\'', 'days.clock') }}
    ) as signs
    where exists (select 1 from steps where steps.run_id = days.run_id and steps.campaign = days.campaign)
    group by days.run_id, days.campaign, days.as_of, days.timezone, days.clock, signs.contact_id
),

removed as (
    select
        active.run_id,
        active.as_of,
        active.contact_id,
        active.campaign,
        (tags.added_at at time zone active.timezone)::date as episode_on,
        steps.step,
        steps.tag,
        'remove' as action
    from active
    inner join steps on steps.run_id = active.run_id and steps.campaign = active.campaign
    inner join tags on tags.contact_id = active.contact_id and tags.tag = steps.tag
    where active.happened_at > tags.added_at
),

final as (
    select * from added
    union all
    select * from removed
)

select * from final
