-- How long each pool of the run's campaigns lasts at the pace of the last four weeks, today's needs included.
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
        max((pools.body ->> 'alert_under_days')::integer) as alert_under_days
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
        count(pool.code) as codes
    from promotions
    left join {{ ref('int_free_codes') }} as pool
        on
            pool.promotion = promotions.promotion
            and pool.code is not null
            and pool.loaded_at <= promotions.clock
            and coalesce(pool.expires_at > promotions.clock, true)
    group by promotions.run_id, promotions.promotion, promotions.as_of
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
        coalesce(free.codes, 0) - taken_so_far.taken as codes_left,
        (pace.granted + coalesce(today.needed, 0))::numeric / (pace.days + 1) as daily_use
    from promotions
    inner join taken_so_far
        on taken_so_far.promotion = promotions.promotion and taken_so_far.as_of = promotions.as_of
    inner join pace on pace.promotion = promotions.promotion and pace.as_of = promotions.as_of
    left join free on free.promotion = promotions.promotion and free.as_of = promotions.as_of
    left join today on today.promotion = promotions.promotion and today.as_of = promotions.as_of
),

-- Beyond a century it says a century.
measured as (
    select
        counted.*,
        least(floor(codes_left / nullif(daily_use, 0)), case when daily_use > 0 then 36500 end)::integer as runway_days
    from counted
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
        alert_under_days
    from measured
)

select * from final
