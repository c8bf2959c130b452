{{ config(materialized='table', post_hook='analyze {{ this }}') }}

-- Set-based: the n-th in the queue gets the n-th free code. Who finds none is held, not lost.
with needs as (
    select * from {{ ref('int_coupon_needs') }}
),

runs as (
    select * from {{ ref('int_runs') }}
),

demands as (
    select
        needs.promotion,
        runs.run_id,
        runs.clock,
        count(*) as needed,
        max(needs.valid_until) as valid_through
    from needs
    inner join runs on runs.run_id = needs.run_id
    group by needs.promotion, runs.run_id, runs.clock
),

-- In the order of the index on (promotion, code), and no further than needed.
free as (
    select
        demands.promotion,
        codes.code,
        row_number() over (partition by demands.promotion order by codes.code) as place
    from demands
    cross join lateral (
        select pool.code
        from {{ ref('int_free_codes') }} as pool
        where
            pool.promotion = demands.promotion
            and pool.loaded_at <= demands.clock
            and coalesce(pool.expires_at >= demands.valid_through, true)
            and {{ is_unused_code('pool', 'demands.run_id') }}
        order by pool.code
        limit demands.needed
    ) as codes
),

final as (
    select
        needs.run_id,
        needs.promotion,
        free.code,
        needs.contact_id,
        needs.campaign,
        needs.step,
        needs.mode,
        needs.place,
        needs.as_of,
        needs.episode_on,
        needs.due_on,
        needs.offer_ends_on,
        needs.valid_until
    from needs
    left join free on free.promotion = needs.promotion and free.place = needs.place
)

select * from final
