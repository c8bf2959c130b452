{{ config(materialized='table', post_hook='analyze {{ this }}') }}

with evaluations as (
    select * from {{ ref('int_evaluations') }}
    where not is_settled_earlier
),

offers as (
    select * from {{ ref('int_coupon_offers') }}
),

served as (
    select
        evaluations.*,
        offers.code,
        offers.valid_until,
        offers.offer_ends_on,
        offers.place,
        offers.place is not null and offers.code is null as is_unserved
    from evaluations
    left join offers
        on
            offers.run_id = evaluations.run_id
            and offers.campaign = evaluations.campaign
            and offers.step = evaluations.step
            and offers.as_of = evaluations.as_of
            and offers.contact_id = evaluations.contact_id
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
        promotion,
        code,
        reachable_channels,
        email_consent,
        sms_consent,
        case when is_unserved then 'hold' else decision end as decision,
        case when is_unserved then reasons || 'pool_dry'::text else reasons end as reasons,
        -- Variants come with the campaigns' A/B tests; until then everybody gets the one there is.
        null::text as variant,
        case when place is null then seen else seen || jsonb_build_object('coupon_place', place) end as seen,
        as_of,
        episode_on,
        due_on,
        offer_ends_on,
        started_at,
        last_purchase_at,
        valid_until
    from served
)

select * from final
