with definitions as (
    select * from {{ source('outbox', 'definition') }}
),

templates as (
    select * from {{ source('outbox', 'template') }}
),

bundles as (
    select
        definitions.hash as bundle_hash,
        member.value as definition_hash
    from definitions
    cross join lateral jsonb_each_text(definitions.body -> 'campaigns') as member
    where definitions.kind = 'bundle'
),

final as (
    select
        bundles.bundle_hash,
        bundles.definition_hash,
        definitions.body ->> 'campaign' as campaign,
        definitions.body ->> 'title' as title,
        definitions.body ->> 'mode' as mode,
        definitions.body ->> 'clock' as clock_kind,
        definitions.body ->> 'timezone' as timezone,
        step.body ->> 'key' as step,
        step.body ->> 'trigger' as trigger,
        step.body ->> 'after_step' as after_step,
        step.body ->> 'event' as event,
        step.body ->> 'promotion' as promotion,
        definitions.body #>> array['promotions', step.body ->> 'promotion', 'offer'] as offer,
        templates.subject,
        step.body -> 'channels' as channels,
        (definitions.body ->> 'priority')::integer as priority,
        (definitions.body ->> 'holdout_percent')::numeric(5, 2) as holdout_percent,
        (definitions.body ->> 'max_late_days')::integer as max_late_days,
        (step.body ->> 'position')::integer as position,
        (step.body ->> 'after_days')::integer as after_days,
        (step.body ->> 'wait_days')::integer as wait_days,
        (definitions.body ->> 'enabled')::boolean and (step.body ->> 'enabled')::boolean as is_enabled
    from bundles
    inner join definitions on definitions.hash = bundles.definition_hash
    cross join lateral jsonb_array_elements(definitions.body -> 'steps') as step (body)
    left join templates on templates.template_hash = step.body ->> 'template_hash'
)

select * from final
