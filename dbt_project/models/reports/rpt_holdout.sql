-- By intention to treat: whoever was to be written to counts as written to, whether or not it came about, and both
-- arms are watched from the clock of their first day, equally long.
with decisions as (
    select * from {{ ref('int_reports__decisions') }}
    where is_standing and mode <> 'shadow' and decision in ('send', 'holdout')
),

days as (
    select * from {{ source('outbox', 'run_day') }}
),

clock as (
    select * from {{ ref('int_reports__clock') }}
),

entries as (
    select distinct on (decisions.campaign, decisions.contact_id, decisions.episode_on)
        decisions.campaign,
        decisions.contact_id,
        case decisions.decision when 'send' then 'written_to' else 'held_out' end as arm,
        decisions.as_of,
        days.clock as entered_at
    from decisions
    inner join days on days.run_id = decisions.run_id and days.as_of = decisions.as_of
    order by decisions.campaign, decisions.contact_id, decisions.episode_on, decisions.as_of
),

final as (
    select
        entries.campaign,
        entries.arm,
        count(*) as people,
        count(*) filter (where purchases.has_bought) as people_bought,
        count(*) filter (
            where entries.entered_at + interval '{{ var("report_return_days", 30) }} days' <= clock.reporting_at
        ) as people_fully_watched,
        entries.as_of
    from entries
    cross join clock
    cross join lateral (
        select exists (
            select from {{ source('raw', 'orders') }} as orders
            where
                orders.contact_id = entries.contact_id
                and orders.ordered_at > entries.entered_at
                and orders.ordered_at <= clock.reporting_at
                and orders.ordered_at < entries.entered_at + interval '{{ var("report_return_days", 30) }} days'
                and (orders.status <> 'cancelled' or orders.updated_at > clock.reporting_at)
        ) as has_bought
    ) as purchases
    group by entries.campaign, entries.arm, entries.as_of
)

select * from final
