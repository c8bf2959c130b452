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
        'On ' || to_char(shortfalls.as_of, 'FMMonth FMDD, YYYY') || ', '
        || {{ counted('shortfalls.needed', 'customer was', 'customers were') }} || ' due a code of ' || shortfalls.promotion || '; '
        || {{ counted('shortfalls.available', 'code was', 'codes were') }} || ' left, so ' || to_char(shortfalls.unserved, 'FM999,999,999,990')
        || case shortfalls.unserved when 1 then ' is' else ' are' end
        || ' waiting. Load new codes: whoever waits is served with the next daily run, and is lost only after '
        || {{ counted('late.max_late_days', 'day', 'days') }} || '.' as body
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
        {{ counted('runway.codes_left', 'code', 'codes') }} || ' of ' || runway.promotion
        || case runway.codes_left when 1 then ' is' else ' are' end || ' left, and ' || {{ daily_pace('runway.daily_use') }}
        || ': at that pace the pool runs dry on ' || to_char(runway.runs_dry_on, 'FMMonth FMDD, YYYY')
        || case when runway.is_cut_short then ', for codes that end within an offer are no longer given' else '' end
        || '. The alert is set at ' || {{ counted('runway.alert_under_days', 'day', 'days') }} || '. Load new codes before then.' as body
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
