-- depends_on: {{ ref('int_run_days') }}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['promotion', 'code']}, {'columns': ['code']}],
    post_hook=['{{ forget_earlier_readings() }}', '{{ forget_used_codes() }}'],
) }}

-- Kept from build to build, because used codes pile up in front of the free ones for ever. The row without a code says what the pool was when
-- it was read. A checksum over all codes tells whether it is still the same. Where it is what it was and codes loaded since, those alone are
-- read; codes that were released are looked up one by one; anything else (a code is gone, was exchanged, has another end) and the pool is
-- read whole, which replaces all that was kept of it.
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

{% if is_incremental() -%}
kept as (
    select * from {{ this }}
    where code is null
),

changed as materialized (
    select
        pools.promotion,
        pools.codes,
        pools.checksum,
        pools.released,
        pools.released is distinct from kept.pool_released as has_released,
        coalesce(kept.reading, 0) + 1 as reading,
        kept.whole_reading,
        kept.pool_loaded_at as loaded_before,
        kept.pool_codes + added.codes is distinct from pools.codes
        or (kept.pool_checksum # coalesce(added.checksum, 0)) is distinct from pools.checksum as is_read_whole
    from pools
    left join kept on kept.promotion = pools.promotion
    cross join lateral (
        select
            count(*) as codes,
            {{ codes_checksum() }} as checksum
        from {{ ref('stg_raw__coupon_codes') }} as pool
        where
            pool.promotion = pools.promotion
            and pool.loaded_at > kept.pool_loaded_at
            and kept.pool_checksum is distinct from pools.checksum
    ) as added
    where
        (kept.pool_codes, kept.pool_checksum, kept.pool_released)
        is distinct from (pools.codes, pools.checksum, pools.released)
),

released as (
    select distinct
        changed.promotion,
        pool.code,
        pool.expires_at,
        pool.loaded_at,
        changed.reading
    from changed
    inner join {{ ref('stg_outbox__coupon_grants') }} as grants on grants.promotion = changed.promotion
    inner join {{ ref('stg_raw__coupon_codes') }} as pool
        on pool.promotion = changed.promotion and pool.code = grants.code
    where
        changed.has_released
        and not changed.is_read_whole
        and grants.released_at is not null
        and pool.loaded_at <= changed.loaded_before
        and not exists (
            select 1
            from {{ this }} as listed
            where listed.promotion = pool.promotion and listed.code = pool.code
        )
),
{%- else -%}
changed as (
    select
        pools.*,
        1 as reading,
        1 as whole_reading,
        null::timestamptz as loaded_before,
        true as is_read_whole
    from pools
),
{%- endif %}

candidates as (
    select
        pool.promotion,
        pool.code,
        pool.expires_at,
        pool.loaded_at,
        changed.reading
    from changed
    inner join {{ ref('stg_raw__coupon_codes') }} as pool on pool.promotion = changed.promotion
    where changed.is_read_whole or pool.loaded_at > changed.loaded_before
    {%- if is_incremental() %}
    union all
    select * from released
    {%- endif %}
),

final as (
    select
        pool.promotion,
        pool.code,
        null::bigint as pool_codes,
        null::bigint as pool_checksum,
        null::bigint as pool_released,
        pool.reading,
        null::integer as whole_reading,
        pool.expires_at,
        pool.loaded_at,
        null::timestamptz as pool_loaded_at
    from candidates as pool
    where {{ is_unused_code('pool', '(select runs.run_id from runs)') }}
    union all
    select
        changed.promotion,
        null::text as code,
        changed.codes as pool_codes,
        changed.checksum as pool_checksum,
        changed.released as pool_released,
        changed.reading,
        case when changed.is_read_whole then changed.reading else changed.whole_reading end as whole_reading,
        null::timestamptz as expires_at,
        null::timestamptz as loaded_at,
        (
            select max(pool.loaded_at)
            from {{ ref('stg_raw__coupon_codes') }} as pool
            where pool.promotion = changed.promotion
        ) as pool_loaded_at
    from changed
)

select * from final
