-- A day keeps the zone of the run that decided it last: in a rebuild it is the same day again.
with runs as (
    select * from {{ ref('stg_outbox__runs') }}
),

days as (
    select * from {{ ref('stg_outbox__run_days') }}
),

definitions as (
    select * from {{ ref('stg_outbox__definitions') }}
),

final as (
    select distinct on (days.as_of)
        days.as_of,
        campaigns.body ->> 'timezone' as timezone
    from days
    inner join runs on runs.run_id = days.run_id
    inner join definitions as bundles on bundles.definition_hash = runs.definition_hash
    cross join lateral jsonb_each_text(bundles.body -> 'campaigns') as listed (campaign, definition_hash)
    inner join definitions as campaigns on campaigns.definition_hash = listed.definition_hash
    order by days.as_of, runs.created_at desc, (campaigns.body ->> 'priority')::integer, listed.campaign
)

select * from final
