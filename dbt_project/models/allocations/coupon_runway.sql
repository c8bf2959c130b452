-- How long each pool of the run's campaigns lasts at the pace of the last four weeks, today's needs included. A code that ends within an offer
-- is no longer given (int_coupon_offers): it is left up to the last day on which one made with it still ends before it does.
with days as (
    select * from {{ ref('int_run_days') }}
),

definitions as (
    select * from {{ ref('stg_outbox__definitions') }}
),

offers as (
    select * from {{ ref('int_coupon_offers') }}
    where mode <> 'shadow'
),

promotions as (
    select
        days.run_id,
        pools.promotion,
        days.as_of,
        max(days.clock) as clock,
        max((pools.body ->> 'alert_under_days')::integer) as alert_under_days,
        max((pools.body ->> 'valid_days')::integer) as valid_days,
        (array_agg(days.timezone order by days.priority, days.campaign))[1] as timezone
    from days
    inner join definitions on definitions.definition_hash = days.definition_hash
    cross join lateral jsonb_each(definitions.body -> 'promotions') as pools (promotion, body)
    group by days.run_id, pools.promotion, days.as_of
),

free as (
    select
        promotions.run_id,
        promotions.promotion,
        promotions.as_of,
        {{ last_given_on('pool.expires_at', 'promotions.timezone', 'promotions.valid_days') }} as last_given_on,
        count(*) as codes
    from promotions
    inner join {{ ref('int_free_codes') }} as pool
        on pool.promotion = promotions.promotion and pool.code is not null and pool.loaded_at <= promotions.clock
    group by
        promotions.run_id,
        promotions.promotion,
        promotions.as_of,
        {{ last_given_on('pool.expires_at', 'promotions.timezone', 'promotions.valid_days') }}
),

usable as (
    select
        *,
        sum(codes) over (partition by run_id, promotion, as_of) as all_codes,
        sum(codes) over (partition by run_id, promotion, as_of order by last_given_on) as codes_by_then
    from free
    where last_given_on >= as_of
),

today as (
    select
        promotion,
        as_of,
        count(*) as needed,
        count(code) as taken
    from offers
    group by promotion, as_of
),

taken_so_far as (
    select
        promotions.promotion,
        promotions.as_of,
        coalesce(sum(today.taken), 0) as taken
    from promotions
    left join today on today.promotion = promotions.promotion and today.as_of <= promotions.as_of
    group by promotions.promotion, promotions.as_of
),

pace as (
    select
        promotions.promotion,
        promotions.as_of,
        (
            select count(*)
            from {{ ref('stg_outbox__coupon_grants') }} as grants
            where
                grants.promotion = promotions.promotion
                and grants.granted_at >= promotions.clock - interval '28 days'
                and grants.as_of > promotions.as_of - 28
                and grants.as_of < promotions.as_of
        ) as granted,
        (
            select count(distinct earlier.as_of)
            from {{ ref('stg_outbox__run_days') }} as earlier
            where earlier.as_of > promotions.as_of - 28 and earlier.as_of < promotions.as_of
        ) as days
    from promotions
),

counted as (
    select
        promotions.run_id,
        promotions.promotion,
        promotions.as_of,
        promotions.alert_under_days,
        coalesce(
            (
                select sum(usable.codes)
                from usable
                where usable.promotion = promotions.promotion and usable.as_of = promotions.as_of
            ),
            0
        ) - taken_so_far.taken as codes_left,
        (pace.granted + coalesce(today.needed, 0))::numeric / (pace.days + 1) as daily_use
    from promotions
    inner join taken_so_far
        on taken_so_far.promotion = promotions.promotion and taken_so_far.as_of = promotions.as_of
    inner join pace on pace.promotion = promotions.promotion and pace.as_of = promotions.as_of
    left join today on today.promotion = promotions.promotion and today.as_of = promotions.as_of
),

-- At best the codes that end first are given first: of those that outlast one day's end, no more are used before the next.
ending as (
    select
        counted.promotion,
        counted.as_of,
        min(
            usable.last_given_on - counted.as_of
            + case
                when outlasting.codes = 0 then 0
                else floor(outlasting.codes / nullif(counted.daily_use, 0))
            end
        ) as days
    from counted
    inner join usable on usable.promotion = counted.promotion and usable.as_of = counted.as_of
    cross join lateral (
        select greatest(least(usable.all_codes - usable.codes_by_then, counted.codes_left), 0) as codes
    ) as outlasting
    where isfinite(usable.last_given_on)
    group by counted.promotion, counted.as_of
),

-- Beyond a century it says a century.
measured as (
    select
        counted.*,
        least(
            floor(counted.codes_left / nullif(counted.daily_use, 0)),
            ending.days,
            case when counted.daily_use > 0 or ending.days is not null then 36500 end
        )::integer as runway_days,
        ending.days < coalesce(floor(counted.codes_left / nullif(counted.daily_use, 0)), 36500) as is_cut_short
    from counted
    left join ending on ending.promotion = counted.promotion and ending.as_of = counted.as_of
),

final as (
    select
        run_id,
        promotion,
        as_of,
        codes_left::bigint as codes_left,
        round(daily_use, 2)::numeric as daily_use,
        runway_days,
        as_of + runway_days as runs_dry_on,
        alert_under_days,
        coalesce(is_cut_short, false) as is_cut_short
    from measured
)

select * from final
