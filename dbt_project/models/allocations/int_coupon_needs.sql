{{ config(materialized='table', post_hook='analyze {{ this }}') }}

-- Who needs a code, in the order they are served: what is really sent before a shadow, the longest due first, then by a hash that favours nobody.
with evaluations as (
    select * from {{ ref('int_evaluations') }}
    where decision = 'send' and promotion is not null and not is_settled_earlier
),

steps as (
    select * from {{ ref('int_campaign_steps') }}
),

final as (
    select
        evaluations.run_id,
        evaluations.promotion,
        evaluations.contact_id,
        evaluations.campaign,
        evaluations.step,
        evaluations.mode,
        row_number() over (
            partition by evaluations.promotion
            order by
                evaluations.mode = 'shadow',
                evaluations.as_of,
                evaluations.due_on,
                evaluations.priority,
                evaluations.position,
                md5(evaluations.promotion || ':' || evaluations.person_id)::uuid,        -- the same order, compared at once
                evaluations.contact_id collate "C",
                evaluations.campaign
        ) as place,
        evaluations.as_of,
        evaluations.episode_on,
        evaluations.due_on,
        (evaluations.as_of + steps.valid_days) as offer_ends_on,
        {{ day_start('evaluations.as_of + steps.valid_days + 1', 'evaluations.campaign_timezone') }} as valid_until
    from evaluations
    inner join steps
        on steps.run_id = evaluations.run_id and steps.campaign = evaluations.campaign and steps.step = evaluations.step
)

select * from final
