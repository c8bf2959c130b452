-- Raised before the gate can stop anything; the outbox keeps one per kind, subject and day.
with shortfalls as (
    select * from {{ ref('coupon_shortfalls') }}
    where unserved > 0
),

runway as (
    select * from {{ ref('coupon_runway') }}
),

days as (
    select * from {{ ref('int_run_days') }}
),

late as (
    select
        run_id,
        as_of,
        max(max_late_days) as max_late_days
    from days
    group by run_id, as_of
),

dry as (
    select
        shortfalls.run_id,
        'pool_dry' as kind,
        shortfalls.promotion as subject,
        shortfalls.as_of as on_day,
        'No codes left for ' || shortfalls.promotion as title,
        'On ' || to_char(shortfalls.as_of, 'FMMonth FMDD, YYYY') || ', ' || shortfalls.needed || ' customers were due a code of '
        || shortfalls.promotion || '; ' || shortfalls.available || ' codes were left, so ' || shortfalls.unserved
        || case shortfalls.unserved when 1 then ' is' else ' are' end
        || ' waiting. Load new codes: whoever waits is served with the next daily run, and is lost only after '
        || late.max_late_days || ' days.' as body
    from shortfalls
    inner join late on late.run_id = shortfalls.run_id and late.as_of = shortfalls.as_of
),

low as (
    select
        runway.run_id,
        'pool_low' as kind,
        runway.promotion as subject,
        runway.as_of as on_day,
        'Codes for ' || runway.promotion || ' last until ' || to_char(runway.runs_dry_on, 'FMMonth FMDD') as title,
        runway.codes_left || ' codes of ' || runway.promotion || ' are left, and about ' || runway.daily_use
        || ' are used a day: at that pace the pool runs dry on ' || to_char(runway.runs_dry_on, 'FMMonth FMDD, YYYY')
        || '. The alert is set at ' || runway.alert_under_days || ' days. Load new codes before then.' as body
    from runway
    where
        runway.runway_days < runway.alert_under_days
        and not exists (
            select 1
            from shortfalls
            where shortfalls.promotion = runway.promotion and shortfalls.as_of = runway.as_of
        )
),

final as (
    select * from dry
    union all
    select * from low
)

select * from final
