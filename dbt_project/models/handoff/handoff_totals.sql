{{ config(materialized='view') }}

-- Live over the rows as they are now: enqueue takes them only while they are what the gate judged. The sum does not depend on an order.
with runs as (
    select * from {{ ref('int_runs') }}
),

requests as (
    select
        run_id,
        md5(
            jsonb_build_array(
                run_id, as_of, campaign, step, contact_id, episode_on, step_days, due_on, mode, to_jsonb(channels),
                template_hash, variant, offer, promotion, coupon_code, extract(epoch from valid_until), tag, contact_event,
                merge_fields, consent, definition_hash, extract(epoch from not_before), extract(epoch from not_after)
            )::text
        ) as digest
    from {{ ref('send_requests') }}
),

final as (
    select
        runs.run_id,
        count(requests.digest) as request_count,
        count(requests.digest)::text || ':' || coalesce(
            sum(('x' || left(requests.digest, 15))::bit(60)::bigint), 0
        )::text || ':' || coalesce(sum(('x' || right(requests.digest, 15))::bit(60)::bigint), 0)::text as request_checksum,
        '{{ target.name }}'::text as target
    from runs
    left join requests on requests.run_id = runs.run_id
    group by runs.run_id
)

select * from final
