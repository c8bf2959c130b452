{{ config(materialized='table', post_hook='analyze {{ this }}') }}

with campaigns as (
    select distinct
        run_id,
        campaign,
        definition_hash
    from {{ ref('int_run_days') }}
),

definitions as (
    select * from {{ ref('stg_outbox__definitions') }}
),

final as (
    select
        campaigns.run_id,
        campaigns.campaign,
        campaigns.definition_hash,
        step.body ->> 'key' as step,
        -- A renamed step is still the step that people already had.
        array_remove(array[step.body ->> 'key', step.body ->> 'renamed_from'], null) as step_keys,
        (step.body ->> 'position')::integer as position,
        definitions.body ->> 'clock' as campaign_clock,
        step.body ->> 'trigger' as trigger,
        (step.body ->> 'step_days')::integer as step_days,
        (step.body ->> 'after_days')::integer as after_days,
        step.body ->> 'after_step' as after_step,
        step.body ->> 'event' as event,
        (step.body ->> 'wait_days')::integer as wait_days,
        (step.body ->> 'no_purchase_days')::integer as no_purchase_days,
        array(select jsonb_array_elements_text(step.body -> 'requires')) as requires,
        array(select jsonb_array_elements_text(step.body -> 'channels')) as channels,
        coalesce((step.body ->> 'recommendations')::integer, 0) as recommendations,
        step.body ->> 'promotion' as promotion,
        promotion.body ->> 'offer' as offer,
        (promotion.body ->> 'valid_days')::integer as valid_days,
        step.body ->> 'contact_event' as contact_event,
        step.body ->> 'tag' as tag,
        step.body ->> 'template_hash' as template_hash,
        coalesce(step.body -> 'merge_fields', '{}'::jsonb) as merge_fields,
        coalesce(definitions.body -> 'hours', '{}'::jsonb) as hours,
        coalesce((definitions.body ->> 'enabled')::boolean, true) and coalesce((step.body ->> 'enabled')::boolean, true)
            as is_enabled
    from campaigns
    inner join definitions on definitions.definition_hash = campaigns.definition_hash
    cross join lateral jsonb_array_elements(definitions.body -> 'steps') as step (body)
    cross join lateral (
        select definitions.body -> 'promotions' -> (step.body ->> 'promotion') as body
    ) as promotion
)

select * from final
