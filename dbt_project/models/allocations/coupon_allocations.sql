-- Proposals; enqueue freezes them into outbox.coupon_grant. A shadow takes no code out of its pool.
with offers as (
    select * from {{ ref('int_coupon_offers') }}
    where code is not null and mode <> 'shadow'
),

final as (
    select
        run_id,
        promotion,
        code,
        contact_id,
        campaign,
        step,
        as_of,
        episode_on,
        valid_until
    from offers
)

select * from final
