with offers as (
    select * from {{ ref('int_coupon_offers') }}
    where mode <> 'shadow'
),

final as (
    select
        run_id,
        promotion,
        as_of,
        count(*) as needed,
        count(code) as available,
        count(*) - count(code) as unserved
    from offers
    group by run_id, promotion, as_of
)

select * from final
