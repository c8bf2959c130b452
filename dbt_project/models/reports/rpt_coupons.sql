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
        (pool.body ->> 'alert_under_days')::integer as alert_under_days
    from {{ source('outbox', 'definition') }} as definition
    cross join lateral jsonb_each(definition.body -> 'promotions') as pool (promotion, body)
    where definition.kind = 'campaign'
    order by pool.promotion, definition.stored_at desc, definition.hash
),

codes as (
    select
        promotion,
        loaded_at,
        coalesce(expires_at, 'infinity') as expires_at,
        count(*) as codes
    from {{ source('raw', 'coupon_codes') }}
    group by promotion, loaded_at, coalesce(expires_at, 'infinity')
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

grants as materialized (
    select
        grants.promotion,
        grants.as_of,
        coalesce(codes.expires_at, 'infinity') as expires_at,
        coalesce(grants.released_at, 'infinity') as released_at,
        count(*) as grants,
        count(used.id) as redeemed
    from {{ source('outbox', 'coupon_grant') }} as grants
    left join {{ source('raw', 'coupon_codes') }} as codes on codes.code = grants.code and codes.expires_at is not null
    left join used on used.id = grants.id
    group by
        grants.promotion, grants.as_of, coalesce(codes.expires_at, 'infinity'), coalesce(grants.released_at, 'infinity')
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
        coalesce(sum(codes.codes) filter (where codes.expires_at > days.clock), 0)::bigint as valid
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
                    where grants.released_at > pools.ended_at and grants.expires_at > pools.clock
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
    -- Beyond a century it says a century.
    cross join lateral (
        select least(floor(codes_left / nullif(daily_use, 0)), case when daily_use > 0 then 36500 end)::integer as days
    ) as runway
)

select * from final
