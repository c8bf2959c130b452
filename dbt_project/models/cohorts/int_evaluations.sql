{{ config(materialized='table', post_hook='analyze {{ this }}') }}

-- What depends on the others: one contact of a person, one message a day, the holdout, the caps, the shop's products. Codes come after this.
with rules as (
    select * from {{ ref('int_rules') }}
),

-- Fewer bestsellers than a step shows are all that can be shown to anybody (int_bestsellers).
shelves as (
    select
        as_of,
        count(*) as products
    from {{ ref('int_bestsellers') }}
    group by as_of
),

-- Several contacts of one person due the same step: one of them stands for the person.
persons as (
    select
        rules.*,
        cardinality(skips) = 0 and row_number() over (
            partition by run_id, campaign, step, as_of, mode = 'shadow', person_id
            order by cardinality(skips) = 0 desc, episode_on desc, contact_id collate "C"
        ) > 1 as is_same_person,
        {{ holdout_place('person_id', 'campaign') }} as holdout_place
    from rules
),

held_out as (
    select
        persons.*,
        cardinality(skips) = 0 and not is_same_person as is_eligible,
        holdout_place < holdout_percent as is_held_out,
        recommendations > coalesce(shelves.products, 0) as is_unstocked,
        cardinality(channels) > 0 and (touches_today >= cap_per_day or touches_7_days >= cap_per_7_days) as is_capped
    from persons
    left join shelves on shelves.as_of = persons.as_of
),

free as (
    select
        held_out.*,
        is_eligible and not is_held_out and not is_unstocked and not is_capped as is_free
    from held_out
),

-- Two campaigns, or two steps of one, want the same person on the same day. What a shadow wants does not count.
ranked as (
    select
        free.*,
        count(*) filter (where is_free and cardinality(channels) > 0) over (
            partition by run_id, as_of, mode = 'shadow', person_id
            order by priority, due_on, position, campaign, contact_id collate "C"
            rows between unbounded preceding and current row
        ) as place_today
    from free
),

allowed as (
    select
        ranked.*,
        is_free and cardinality(channels) > 0 and (
            touches_today + place_today > cap_per_day or touches_7_days + place_today > cap_per_7_days
        ) as is_outranked
    from ranked
),

decided as (
    select
        allowed.*,
        case
            when cardinality(skips) > 0 or is_same_person then 'skip'
            when is_held_out then 'holdout'
            when is_unstocked or is_capped or is_outranked then 'hold'
            else 'send'
        end as decision
    from allowed
),

-- In a run over several days, what an earlier day of the set settled is settled, as if it had been enqueued.
replayed as (
    select
        decided.*,
        coalesce(
            bool_or(decision <> 'hold') over (
                partition by run_id, campaign, step, contact_id, episode_on
                order by as_of
                rows between unbounded preceding and 1 preceding
            ),
            false
        ) as is_settled_earlier
    from decided
),

final as (
    select
        run_id,
        campaign,
        step,
        contact_id,
        person_id,
        mode,
        definition_hash,
        campaign_timezone,
        timezone,
        country,
        region,
        priority,
        position,
        promotion,
        reachable_channels,
        email_consent,
        sms_consent,
        is_settled_earlier,
        decision,
        skips || array_remove(
            array[
                case when is_same_person then 'same_person' end,
                case when is_eligible and is_held_out then 'holdout' end,
                case when is_unstocked then 'nothing_to_recommend' end,
                case when is_capped then 'frequency_cap' end,
                case when is_outranked then 'outranked' end
            ],
            null
        ) as reasons,
        jsonb_build_object(
            'person_id', person_id,
            'person_contacts', person_contacts,
            'started_at', started_at,
            'last_purchase_at', last_purchase_at,
            'purchased_since_at', purchased_since_at,
            'active_since_at', active_since_at,
            'late_days', late_days,
            'is_known', is_known,
            'email_consent', has_email_consent,
            'sms_consent', has_sms_consent,
            'channels', to_jsonb(reachable_channels),
            'obstacles', jsonb_strip_nulls(
                jsonb_build_object('email', email_obstacle, 'sms', sms_obstacle, 'webpush', webpush_obstacle)
            ),
            'timezone', timezone,
            'is_timezone_malformed', is_timezone_malformed,
            'touches_today', touches_today,
            'touches_7_days', touches_7_days,
            'holdout_place', round(holdout_place, 4)
        ) as seen,
        as_of,
        episode_on,
        due_on,
        started_at,
        last_purchase_at
    from replayed
)

select * from final
