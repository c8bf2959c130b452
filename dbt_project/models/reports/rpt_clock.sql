-- Everything in these reports is counted up to this instant.
with final as (
    select reporting_at from {{ ref('int_reports__clock') }}
)

select * from final
