-- depends_on: {{ ref('int_run_days') }}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='promotion',
    on_schema_change='fail',
    indexes=[{'columns': ['promotion', 'code']}, {'columns': ['code']}],
    post_hook='{{ forget_used_codes() }}',
) }}

-- Kept from build to build, because used codes pile up in front of the free ones for ever. A pool is read anew when its codes are no longer
-- the same (one more, one less, another end) or some were released; otherwise it only loses what was used. The row without a code says what
-- the pool was when it was read.
with runs as (
    select * from {{ ref('int_runs') }}
),

sizes as (
    select
        promotion,
        count(*) as codes,
        {{ codes_checksum() }} as checksum
    from {{ ref('stg_raw__coupon_codes') }}
    group by promotion
),

pools as (
    select
        sizes.promotion,
        sizes.codes,
        sizes.checksum,
        (
            select count(*)
            from {{ ref('stg_outbox__coupon_grants') }} as grants
            where grants.promotion = sizes.promotion and grants.released_at is not null
        ) as released
    from sizes
),

changed as (
    select pools.*
    from pools
    {%- if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as kept
        where
            kept.promotion = pools.promotion
            and kept.code is null
            and kept.pool_codes = pools.codes
            and kept.pool_checksum = pools.checksum
            and kept.pool_released = pools.released
    )
    {%- endif %}
),

unused as (
    select
        pool.promotion,
        pool.code,
        pool.expires_at,
        pool.loaded_at,
        null::bigint as pool_codes,
        null::bigint as pool_checksum,
        null::bigint as pool_released
    from changed
    inner join {{ ref('stg_raw__coupon_codes') }} as pool on pool.promotion = changed.promotion
    where {{ is_unused_code('pool', '(select runs.run_id from runs)') }}
),

final as (
    select * from unused
    union all
    select
        promotion,
        null::text as code,
        null::timestamptz as expires_at,
        null::timestamptz as loaded_at,
        codes as pool_codes,
        checksum as pool_checksum,
        released as pool_released
    from changed
)

select * from final
