-- By intention to treat: whoever was to be written to counts as written to, whether or not it came about, and both
-- arms are watched from the clock of their first day, equally long. Who was held that day (no code, no approval, a failed gate) was to be
-- written to, too: counted from the day of the message, those who buy while they wait would be missing from this arm alone.
with decisions as (
    select *
    from {{ source('outbox', 'decision') }}
    where {{ is_in_the_trial('decision') }}
),

days as (
    select * from {{ source('outbox', 'run_day') }}
),

clock as (
    select * from {{ ref('rpt_clock') }}
),

entries as (
    select
        decisions.campaign,
        decisions.contact_id,
        case decisions.decision when 'holdout' then 'held_out' else 'written_to' end as arm,
        decisions.as_of,
        days.clock as entered_at,
        days.clock + interval '{{ var("report_return_days", 30) }} days' as watched_until
    from decisions
    inner join days on days.run_id = decisions.run_id and days.as_of = decisions.as_of
    where not exists (
        select 1
        from {{ source('outbox', 'decision') }} as earlier
        where
            earlier.contact_id = decisions.contact_id
            and earlier.campaign = decisions.campaign
            and earlier.episode_on = decisions.episode_on
            and {{ is_in_the_trial('earlier') }}
            and (earlier.as_of, earlier.archived_at, earlier.step) < (decisions.as_of, decisions.archived_at, decisions.step)
    )
),

watched as (
    select
        entries.*,
        clock.reporting_at,
        exists (
            select 1
            from {{ source('raw', 'orders') }} as orders
            where
                orders.contact_id = any(members.contact_ids)
                and orders.ordered_at > entries.entered_at
                and orders.ordered_at < entries.watched_until
                and orders.ordered_at <= clock.reporting_at
                and ({{ is_purchase('orders') }} or orders.updated_at > clock.reporting_at)
        ) as has_bought
    from entries
    cross join clock
    cross join lateral (
        select {{ person_ids('entries.contact_id', source('raw', 'contacts')) }} as contact_ids
        offset 0
    ) as members
),

final as (
    select
        campaign,
        arm,
        count(*) as people,
        count(*) filter (where has_bought) as people_bought,
        count(*) filter (where watched_until <= reporting_at) as people_fully_watched,
        as_of
    from watched
    group by campaign, arm, as_of
)

select * from final
