{# What the run being built was granted does not count: built again, it proposes the same again. #}
{% macro is_of_another_run(grants, run_id) -%}
    not exists (
        select 1
        from {{ ref('stg_outbox__messages') }} as messages
        where messages.coupon_grant_id = {{ grants }}.grant_id and messages.run_id = {{ run_id }}
    )
{%- endmacro %}

{# A code is free when nobody holds it, no order has used it, and it lasts as long as an offer made with it. #}
{% macro is_unused_code(codes, run_id) -%}
    not exists (
        select 1
        from {{ ref('stg_outbox__coupon_grants') }} as grants
        where
            grants.code = {{ codes }}.code
            and grants.released_at is null
            and {{ is_of_another_run('grants', run_id) }}
    )
    and not exists (
        select 1
        from {{ ref('stg_raw__orders') }} as orders
        -- The second condition keeps orders without a code out of any plan.
        where orders.coupon_code = {{ codes }}.code and orders.coupon_code is not null
    )
{%- endmacro %}

{# The last day on which an offer can be made with a code: one of that day still ends, at a midnight of `timezone`, no later than the code
   does. `infinity` for a code without an end. #}
{% macro last_given_on(expires_at, timezone, valid_days) -%}
    coalesce(({{ expires_at }} at time zone {{ timezone }})::date - {{ valid_days }} - 1, 'infinity'::date)
{%- endmacro %}

{# Of a pool that this build has read, what stood for it before goes, and where it was read whole, everything that was kept of it. The pools are
   those with two rows without a code: on most days none, and then nothing is looked through. #}
{% macro forget_earlier_readings() -%}
delete from {{ this }} as kept
using (
    select
        promotion,
        max(reading) as reading,
        max(whole_reading) as whole_reading
    from {{ this }}
    where code is null
    group by promotion
    having count(*) > 1
) as read_again
where
    kept.promotion = read_again.promotion
    and kept.reading < case when kept.code is null then read_again.reading else read_again.whole_reading end
{%- endmacro %}

{# Codes that the newest runs granted, and that the newest orders used, leave int_free_codes. Where days were run out of order some stay for
   a while: whoever takes a code from there looks again. #}
{% macro forget_used_codes() -%}
{%- set since -%}
    (select (min(coalesce(previous_as_of, as_of - 1)) - 7)::timestamp at time zone 'UTC' from {{ ref('int_run_days') }})
{%- endset -%}
delete from {{ this }}
where code in (
    select grants.code
    from (select distinct promotion from {{ this }}) as pools
    cross join lateral (
        select recent.code
        from {{ ref('stg_outbox__coupon_grants') }} as recent
        where
            recent.promotion = pools.promotion
            and recent.granted_at >= {{ since }}
            and recent.released_at is null
            and {{ is_of_another_run('recent', '(select runs.run_id from ' ~ ref('int_runs') ~ ' as runs)') }}
        offset 0
    ) as grants

    union all

    select orders.coupon_code
    from {{ ref('stg_raw__orders') }} as orders
    where orders.coupon_code is not null and orders.updated_at >= {{ since }}
)
-- A pool that was withdrawn as a whole has no codes left to be compared with.
or promotion in (
    select kept.promotion
    from {{ this }} as kept
    where
        kept.code is null
        and not exists (
            select 1
            from {{ ref('stg_raw__coupon_codes') }} as pool
            where pool.promotion = kept.promotion
        )
)
{%- endmacro %}

{# Tells a pool from another of the same size; the order of its codes does not count. The checksums of two parts, xor-ed, are that of the whole. #}
{% macro codes_checksum() -%}
    bit_xor(hash_record_extended((code, expires_at, loaded_at), 0))
{%- endmacro %}
