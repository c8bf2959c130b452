-- Cohorts and codes of the past are not computed again: what each day granted is read from the ledger, what it could not serve from its
-- archived decisions. Codes and grants are read once, grouped, however many days are told. Pace and runway as in allocations.coupon_runway.
with days as (
    select
        as_of,
        max(clock) as clock,
        max(clock) + interval '1 day' as ended_at
    from {{ source('outbox', 'run_day') }}
    group by as_of
),

promotions as (
    select distinct on (pool.promotion)
        pool.promotion,
        (pool.body ->> 'alert_under_days')::integer as alert_under_days,
        (pool.body ->> 'valid_days')::integer as valid_days,
        definition.body ->> 'timezone' as timezone
    from {{ source('outbox', 'definition') }} as definition
    cross join lateral jsonb_each(definition.body -> 'promotions') as pool (promotion, body)
    where definition.kind = 'campaign'
    order by pool.promotion, definition.stored_at desc, definition.hash
),

-- Used by an order and given to nobody: such a code is never given (is_unused_code), and is not left from that hour on.
spoiled as materialized (
    select
        pool.promotion,
        pool.code,
        date_trunc('hour', min(orders.ordered_at)) as used_at
    from promotions
    inner join {{ source('raw', 'coupon_codes') }} as pool on pool.promotion = promotions.promotion
    inner join {{ source('raw', 'orders') }} as orders on orders.coupon_code = pool.code
    where
        orders.coupon_code is not null  -- keeps orders without a code out of any plan
        and not exists (
            select 1
            from {{ source('outbox', 'coupon_grant') }} as grants
            where grants.code = pool.code and grants.released_at is null
        )
    group by pool.promotion, pool.code
),

codes as (
    select
        pool.promotion,
        pool.loaded_at,
        coalesce(spoiled.used_at, 'infinity') as used_at,
        {{ last_given_on('pool.expires_at', 'promotions.timezone', 'promotions.valid_days') }} as last_given_on,
        count(*) as codes
    from promotions
    inner join {{ source('raw', 'coupon_codes') }} as pool on pool.promotion = promotions.promotion
    left join spoiled on spoiled.promotion = pool.promotion and spoiled.code = pool.code
    group by
        pool.promotion,
        pool.loaded_at,
        coalesce(spoiled.used_at, 'infinity'),
        {{ last_given_on('pool.expires_at', 'promotions.timezone', 'promotions.valid_days') }}
),

-- One join for all, so that the planner may begin with the orders that carry a code: a look-up for each grant ever was most of a report.
used as materialized (
    select distinct grants.id
    from {{ source('raw', 'orders') }} as orders
    cross join {{ ref('rpt_clock') }} as clock
    inner join {{ source('outbox', 'coupon_grant') }} as grants
        on grants.code = orders.coupon_code and grants.released_at is null and grants.granted_at <= orders.ordered_at
    where
        orders.coupon_code is not null
        and orders.ordered_at <= clock.reporting_at
        and ({{ is_purchase('orders') }} or orders.updated_at > clock.reporting_at)
),

-- A code that was taken out of its pool after it was given (some loaders list only what is unused) is not there to be subtracted, nor is
-- one that was used and then given back.
grants as materialized (
    select
        grants.promotion,
        grants.as_of,
        codes.code is not null as is_listed,
        coalesce(spoiled.used_at, 'infinity') as used_at,
        {{ last_given_on('codes.expires_at', 'promotions.timezone', 'promotions.valid_days') }} as last_given_on,
        coalesce(grants.released_at, 'infinity') as released_at,
        count(*) as grants,
        count(used.id) as redeemed
    from {{ source('outbox', 'coupon_grant') }} as grants
    inner join promotions on promotions.promotion = grants.promotion
    left join {{ source('raw', 'coupon_codes') }} as codes on codes.promotion = grants.promotion and codes.code = grants.code
    left join spoiled on spoiled.promotion = grants.promotion and spoiled.code = grants.code
    left join used on used.id = grants.id
    group by
        grants.promotion,
        grants.as_of,
        codes.code is not null,
        coalesce(spoiled.used_at, 'infinity'),
        {{ last_given_on('codes.expires_at', 'promotions.timezone', 'promotions.valid_days') }},
        coalesce(grants.released_at, 'infinity')
),

unserved as (
    select
        step.body ->> 'promotion' as promotion,
        decision.as_of,
        count(distinct (decision.contact_id, decision.campaign, decision.step)) as contacts
    from {{ source('outbox', 'decision') }} as decision
    inner join {{ source('outbox', 'definition') }} as definition on definition.hash = decision.definition_hash
    cross join lateral jsonb_array_elements(definition.body -> 'steps') as step (body)
    where
        decision.reason = 'pool_dry'
        and decision.mode <> 'shadow'
        and step.body ->> 'key' = decision.step
    group by step.body ->> 'promotion', decision.as_of
),

pools as (
    select
        promotions.promotion,
        promotions.alert_under_days,
        days.as_of,
        days.clock,
        days.ended_at,
        coalesce(sum(codes.codes), 0)::bigint as loaded,
        coalesce(
            sum(codes.codes) filter (where codes.last_given_on >= days.as_of and codes.used_at > days.ended_at), 0
        )::bigint as valid
    from promotions
    cross join days
    left join codes on codes.promotion = promotions.promotion and codes.loaded_at <= days.clock
    group by promotions.promotion, promotions.alert_under_days, days.as_of, days.clock, days.ended_at
),

counted as (
    select
        pools.*,
        spent.granted,
        spent.released,
        spent.redeemed,
        spent.granted_today,
        coalesce(unserved.contacts, 0) as unserved_today,
        pools.valid - spent.held as codes_left,
        (spent.recent + spent.granted_today + coalesce(unserved.contacts, 0))::numeric / pace.days as daily_use
    from pools
    left join unserved on unserved.promotion = pools.promotion and unserved.as_of = pools.as_of
    cross join lateral (
        select
            coalesce(sum(grants.grants), 0)::bigint as granted,
            coalesce(sum(grants.grants) filter (where grants.released_at <= pools.ended_at), 0)::bigint as released,
            coalesce(sum(grants.redeemed), 0)::bigint as redeemed,
            coalesce(sum(grants.grants) filter (where grants.as_of = pools.as_of), 0)::bigint as granted_today,
            coalesce(
                sum(grants.grants) filter (where grants.as_of > pools.as_of - 28 and grants.as_of < pools.as_of), 0
            )::bigint as recent,
            coalesce(
                sum(grants.grants) filter (
                    where
                        grants.is_listed
                        and grants.used_at > pools.ended_at
                        and grants.released_at > pools.ended_at
                        and grants.last_given_on >= pools.as_of
                ),
                0
            )::bigint as held
        from grants
        where grants.promotion = pools.promotion and grants.as_of <= pools.as_of
    ) as spent
    cross join lateral (
        select count(*) as days
        from days
        where days.as_of > pools.as_of - 28 and days.as_of <= pools.as_of
    ) as pace
),

final as (
    select
        promotion,
        loaded,
        granted,
        released,
        redeemed,
        granted_today,
        unserved_today,
        codes_left,
        daily_use::numeric(12, 2) as daily_use,
        runway.days as runway_days,
        alert_under_days,
        codes_left <= 0 as is_dry,
        coalesce(runway.days < alert_under_days, codes_left <= 0) as is_low,
        as_of,
        as_of + runway.days as runs_dry_on
    from counted
    -- At best the codes that end first are given first: of those that outlast one day's end, no more are used before the next.
    cross join lateral (
        select
            min(
                ends.last_given_on - counted.as_of
                + case when ends.outlasting <= 0 then 0 else floor(ends.outlasting / nullif(counted.daily_use, 0)) end
            ) as days
        from (
            select
                stock.last_given_on,
                sum(sum(stock.codes)) over () - sum(sum(stock.codes)) over (order by stock.last_given_on) as outlasting
            from (
                select
                    codes.last_given_on,
                    codes.codes
                from codes
                where
                    codes.promotion = counted.promotion
                    and codes.loaded_at <= counted.clock
                    and codes.used_at > counted.ended_at
                union all
                select
                    grants.last_given_on,
                    -grants.grants as codes
                from grants
                where
                    grants.promotion = counted.promotion
                    and grants.is_listed
                    and grants.used_at > counted.ended_at
                    and grants.as_of <= counted.as_of
                    and grants.released_at > counted.ended_at
            ) as stock
            where stock.last_given_on >= counted.as_of
            group by stock.last_given_on
            having sum(stock.codes) > 0
        ) as ends
        where isfinite(ends.last_given_on)
    ) as ending
    -- Beyond a century it says a century.
    cross join lateral (
        select
            least(
                floor(counted.codes_left / nullif(counted.daily_use, 0)),
                ending.days,
                case when counted.daily_use > 0 or ending.days is not null then 36500 end
            )::integer as days
    ) as runway
)

select * from final
