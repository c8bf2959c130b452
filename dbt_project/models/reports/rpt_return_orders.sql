with final as (
    select * from {{ ref('int_reports__return_orders') }}
)

select * from final
