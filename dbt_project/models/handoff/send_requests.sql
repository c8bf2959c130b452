-- All that enqueue reads of a message. No name and no address: those are read at the claim.
with decisions as (
    select * from {{ ref('int_decisions') }}
    where decision = 'send' and mode <> 'shadow' and cardinality(reachable_channels) > 0
),

days as (
    select * from {{ ref('int_run_days') }}
),

steps as (
    select * from {{ ref('int_campaign_steps') }}
),

recommendations as (
    select * from {{ ref('int_recommendations') }}
),

timed as materialized (
    select
        decisions.*,
        steps.step_days,
        steps.template_hash,
        steps.offer,
        steps.tag,
        steps.contact_event,
        coalesce(decisions.timezone, decisions.campaign_timezone) as zone,
        days.max_late_days,
        days.send_at,
        -- The rule that the claim goes by, too.
        outbox.hours_of(
            steps.hours, decisions.reachable_channels[1], decisions.country, decisions.region, decisions.timezone
        ) as hours
    from decisions
    inner join days
        on days.run_id = decisions.run_id and days.campaign = decisions.campaign and days.as_of = decisions.as_of
    inner join steps
        on steps.run_id = decisions.run_id and steps.campaign = decisions.campaign and steps.step = decisions.step
),

windowed as (
    select
        timed.*,
        {{ first_open('as_of', 'send_at', 'hours[1]', 'hours[2]', 'zone') }} as not_before,
        least({{ day_start('(due_on + max_late_days + 1)', 'zone') }}, valid_until) as latest
    from timed
),

final as (
    select
        windowed.run_id,
        windowed.as_of,
        windowed.campaign,
        windowed.step,
        windowed.contact_id,
        windowed.episode_on,
        windowed.step_days,
        windowed.due_on,
        windowed.mode,
        windowed.reachable_channels as channels,
        windowed.template_hash,
        windowed.variant,
        windowed.offer,
        windowed.promotion,
        windowed.code as coupon_code,
        windowed.valid_until,
        windowed.tag,
        windowed.contact_event,
        jsonb_strip_nulls(
            jsonb_build_object(
                'last_purchase_on',
                to_char(windowed.last_purchase_at at time zone windowed.campaign_timezone, 'FMMonth FMDD'),
                'days_away', (windowed.as_of - windowed.episode_on)::text,
                'coupon_code', windowed.code,
                'offer_ends_on', to_char(windowed.offer_ends_on, 'FMMonth FMDD')
            )
        )
        || coalesce(recommendations.merge_fields, '{}'::jsonb) as merge_fields,
        case
            when 'email' = any(windowed.reachable_channels) then jsonb_build_object('email', windowed.email_consent)
            else '{}'::jsonb
        end
        || case
            when 'sms' = any(windowed.reachable_channels) then jsonb_build_object('sms', windowed.sms_consent)
            else '{}'::jsonb
        end as consent,
        windowed.definition_hash,
        windowed.not_before,
        -- A last day whose hours are over ends as it begins: the message expires, visibly.
        greatest(windowed.latest, windowed.not_before) as not_after
    from windowed
    left join recommendations
        on
            recommendations.run_id = windowed.run_id
            and recommendations.campaign = windowed.campaign
            and recommendations.step = windowed.step
            and recommendations.as_of = windowed.as_of
            and recommendations.contact_id = windowed.contact_id
)

select * from final
