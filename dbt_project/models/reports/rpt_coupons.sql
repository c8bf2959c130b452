-- One scan of the pools' codes, grouped; the rest is as large as the outbox.
with days as (
    select
        as_of,
        max(clock) as clock
    from {{ source('outbox', 'run_day') }}
    group by as_of
),

promotions as (
    select
        promotion.key as promotion,
        max((promotion.value ->> 'alert_under_days')::integer) as alert_under_days
    from {{ source('outbox', 'definition') }} as definition
    cross join lateral jsonb_each(definition.body -> 'promotions') as promotion
    where definition.kind = 'campaign'
    group by promotion.key
),

loads as (
    select
        promotion,
        loaded_at,
        count(*) as codes
    from {{ source('raw', 'coupon_codes') }}
    group by promotion, loaded_at
),

grants as (
    select
        grants.promotion,
        grants.as_of,
        count(*) as granted,
        count(*) filter (where grants.released_at is not null) as released,
        count(redemption.ordered_at) as redeemed
    from {{ source('outbox', 'coupon_grant') }} as grants
    left join lateral (
        select min(orders.ordered_at) as ordered_at
        from {{ source('raw', 'orders') }} as orders
        cross join {{ ref('int_reports__clock') }} as clock
        where
            orders.coupon_code = grants.code
            and (orders.status <> 'cancelled' or orders.updated_at > clock.reporting_at)
            and orders.ordered_at >= grants.granted_at
            and orders.ordered_at <= clock.reporting_at
            and grants.released_at is null
    ) as redemption on true
    group by grants.promotion, grants.as_of
),

counted as (
    select
        promotions.promotion,
        days.as_of,
        promotions.alert_under_days,
        pool.loaded,
        spent.granted,
        spent.released,
        spent.redeemed,
        spent.granted_today,
        spent.recent,
        spent.recent_days,
        pool.loaded - spent.granted + spent.released as codes_left
    from promotions
    cross join days
    cross join lateral (
        select coalesce(sum(loads.codes), 0)::bigint as loaded
        from loads
        where loads.promotion = promotions.promotion and loads.loaded_at <= days.clock
    ) as pool
    cross join lateral (
        select
            coalesce(sum(grants.granted), 0)::bigint as granted,
            coalesce(sum(grants.released), 0)::bigint as released,
            coalesce(sum(grants.redeemed), 0)::bigint as redeemed,
            coalesce(sum(grants.granted) filter (where grants.as_of = days.as_of), 0)::bigint as granted_today,
            coalesce(sum(grants.granted - grants.released) filter (where grants.as_of > days.as_of - 14), 0) as recent,
            (select count(*) from days as recent where recent.as_of > days.as_of - 14 and recent.as_of <= days.as_of)
                as recent_days
        from grants
        where grants.promotion = promotions.promotion and grants.as_of <= days.as_of
    ) as spent
),

final as (
    select
        promotion,
        loaded,
        granted,
        released,
        redeemed,
        granted_today,
        codes_left,
        (recent / recent_days)::numeric(12, 2) as daily_use,
        case when recent > 0 then floor(codes_left / (recent / recent_days)) end::integer as runway_days,
        alert_under_days,
        codes_left <= 0 as is_dry,
        coalesce(codes_left / nullif(recent / recent_days, 0) < alert_under_days, codes_left <= 0) as is_low,
        as_of,
        case when recent > 0 then as_of + floor(codes_left / (recent / recent_days))::integer end as runs_dry_on
    from counted
)

select * from final
