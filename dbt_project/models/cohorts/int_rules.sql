{{ config(materialized='ephemeral') }}

-- Every rule on its own, all of them for everybody; which of them decides is the order of the array.
with candidates as (
    select * from {{ ref('int_candidates') }}
),

days as (
    select * from {{ ref('int_run_days') }}
),

steps as (
    select * from {{ ref('int_campaign_steps') }}
),

histories as (
    select * from {{ ref('int_histories') }}
),

reachability as (
    select * from {{ ref('int_reachability') }}
),

facts as (
    select
        candidates.run_id,
        candidates.campaign,
        candidates.step,
        candidates.contact_id,
        candidates.mode,
        candidates.parent_message_id,
        candidates.as_of,
        candidates.episode_on,
        candidates.due_on,
        candidates.started_at,
        days.definition_hash,
        days.timezone as campaign_timezone,
        days.priority,
        days.holdout_percent,
        days.cap_per_day,
        days.cap_per_7_days,
        days.max_late_days,
        days.live_from,
        days.is_simulated,
        steps.position,
        steps.is_enabled,
        steps.requires,
        steps.channels,
        steps.recommendations,
        steps.promotion,
        histories.person_id,
        histories.person_contacts,
        histories.is_messaged,
        histories.touches_today,
        histories.touches_7_days,
        histories.purchased_since_at,
        histories.active_since_at,
        histories.last_purchase_at,
        -- A day that is caught up on late is judged as of the day on which its messages would go; a tag alone has no hour to miss.
        greatest(
            candidates.as_of,
            case when cardinality(steps.channels) > 0 then (days.clock at time zone days.timezone)::date end
        ) - candidates.due_on as late_days,
        reachability.is_known,
        reachability.is_timezone_malformed,
        reachability.timezone,
        reachability.country,
        reachability.region,
        reachability.has_email_consent,
        reachability.has_sms_consent,
        reachability.is_email_opted_out,
        reachability.email_consent,
        reachability.sms_consent,
        -- What stands in the way of each channel; null: nothing.
        case
            when not reachability.has_email then 'no_reachable_channel'
            when not reachability.is_email_valid then 'invalid_address'
            when not reachability.has_email_consent then 'no_email_consent'
            when reachability.is_email_suppressed then 'suppressed'
        end as email_obstacle,
        case
            when not reachability.has_phone then 'no_reachable_channel'
            when not reachability.is_phone_valid then 'invalid_address'
            when not reachability.has_sms_consent then 'no_reachable_channel'
            when reachability.is_sms_suppressed then 'suppressed'
        end as sms_obstacle,
        case
            when not reachability.has_subscription then 'no_reachable_channel'
            when reachability.is_webpush_suppressed then 'suppressed'
        end as webpush_obstacle
    from candidates
    inner join days
        on days.run_id = candidates.run_id and days.campaign = candidates.campaign and days.as_of = candidates.as_of
    inner join steps
        on steps.run_id = candidates.run_id and steps.campaign = candidates.campaign and steps.step = candidates.step
    inner join histories
        on
            histories.run_id = candidates.run_id
            and histories.campaign = candidates.campaign
            and histories.step = candidates.step
            and histories.as_of = candidates.as_of
            and histories.contact_id = candidates.contact_id
    inner join reachability
        on
            reachability.contact_id = candidates.contact_id
            and reachability.as_of = candidates.as_of
            and reachability.clock = days.clock
),

reached as (
    select
        facts.*,
        array(
            select listed.channel
            from unnest(facts.channels) with ordinality as listed (channel, place)
            where case listed.channel
                when 'email' then facts.email_obstacle is null
                when 'sms' then facts.sms_obstacle is null
                when 'webpush' then facts.webpush_obstacle is null
                else false
            end
            order by listed.place
        ) as reachable_channels,
        array(
            select case listed.channel
                when 'email' then facts.email_obstacle
                when 'sms' then facts.sms_obstacle
                when 'webpush' then facts.webpush_obstacle
                else 'no_reachable_channel'
            end
            from unnest(facts.channels) as listed (channel)
        ) as obstacles
    from facts
),

judged as (
    select
        reached.*,
        cardinality(channels) > 0 and cardinality(reachable_channels) = 0 as is_unreachable
    from reached
),

final as (
    select
        judged.*,
        array_remove(
            array[
                case when not is_enabled then 'step_disabled' end,
                case when mode <> 'shadow' and not is_simulated and due_on < live_from then 'before_live' end,
                case when purchased_since_at is not null then 'purchased_since' end,
                case when active_since_at is not null then 'active_again' end,
                case when is_messaged then 'already_messaged' end,
                case when late_days > max_late_days then 'too_late' end,
                case
                    when
                        not is_known or is_timezone_malformed or (is_unreachable and 'invalid_address' = any(obstacles))
                        then 'invalid_address'
                end,
                case
                    when
                        ('consent_email' = any(requires) and not has_email_consent)
                        or (is_unreachable and 'no_email_consent' = any(obstacles))
                        then 'no_email_consent'
                end,
                case when 'consent_sms' = any(requires) and not has_sms_consent then 'no_sms_consent' end,
                case
                    when
                        -- Who opted out of e-mail took that consent back, whichever channel the step would use.
                        ('consent_email' = any(requires) and is_email_opted_out)
                        or (is_unreachable and 'suppressed' = any(obstacles))
                        then 'suppressed'
                end,
                case when is_unreachable and 'no_reachable_channel' = any(obstacles) then 'no_reachable_channel' end
            ],
            null
        ) as skips
    from judged
)

select * from final
