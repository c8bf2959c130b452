{{ config(
    materialized='table',
    indexes=[{'columns': ['run_id', 'campaign', 'step', 'contact_id', 'as_of'], 'unique': true}],
) }}

with requests as (
    select
        decisions.run_id,
        decisions.as_of,
        decisions.contact_id,
        decisions.campaign,
        decisions.step,
        steps.recommendations as wanted,
        steps.merge_fields ->> 'utm' as utm
    from {{ ref('int_decisions') }} as decisions
    inner join {{ ref('int_campaign_steps') }} as steps
        on
            steps.run_id = decisions.run_id
            and steps.campaign = decisions.campaign
            and steps.step = decisions.step
    where decisions.decision = 'send' and steps.recommendations > 0
),

currency as (
    select
        as_of,
        max(currency) as currency
    from {{ ref('int_bestsellers') }}
    group by as_of
),

contacts as (
    select distinct
        as_of,
        contact_id
    from requests
),

-- One thing they keep buying, then what goes with their baskets, then what everybody buys.
pool as (
    select
        affinity.as_of,
        affinity.contact_id,
        affinity.product_id,
        affinity.category,
        affinity.kind,
        case affinity.kind when 'favorite' then 1 else 2 end as turn,
        affinity.kind_rank as place
    from {{ ref('int_product_affinity') }} as affinity
    where affinity.kind = 'companion' or affinity.kind_rank = 1
    union all
    select
        contacts.as_of,
        contacts.contact_id,
        bestsellers.product_id,
        bestsellers.category,
        'bestseller' as kind,
        3 as turn,
        bestsellers.rank as place
    from contacts
    inner join {{ ref('int_bestsellers') }} as bestsellers on bestsellers.as_of = contacts.as_of
),

once as (
    select distinct on (as_of, contact_id, product_id) *
    from pool
    order by as_of, contact_id, product_id, turn, place
),

-- One of each category first; a second one only where the categories run out.
shelved as (
    select
        once.*,
        row_number() over (
            partition by as_of, contact_id, category order by turn, place, product_id
        ) as category_rank
    from once
),

chosen as (
    select
        requests.run_id,
        requests.campaign,
        requests.step,
        requests.wanted,
        requests.utm,
        shelved.*,
        row_number() over (
            partition by requests.run_id, requests.campaign, requests.step, requests.as_of, requests.contact_id
            order by shelved.category_rank, shelved.turn, shelved.place, shelved.product_id
        ) as choice
    from requests
    inner join shelved on shelved.as_of = requests.as_of and shelved.contact_id = requests.contact_id
),

placed as (
    select
        chosen.*,
        row_number() over (
            partition by chosen.run_id, chosen.campaign, chosen.step, chosen.as_of, chosen.contact_id
            order by chosen.turn, chosen.place, chosen.product_id
        ) as number
    from chosen
    where chosen.choice <= chosen.wanted
),

shown as (
    select
        placed.run_id,
        placed.campaign,
        placed.step,
        placed.as_of,
        placed.contact_id,
        placed.wanted,
        placed.number,
        placed.kind,
        products.product_id,
        products.product_name,
        products.category,
        products.image_url,
        case currency.currency
            when 'USD' then '$' || to_char(products.price, 'FM999,999,990.00')
            when 'EUR' then '€' || to_char(products.price, 'FM999,999,990.00')
            when 'GBP' then '£' || to_char(products.price, 'FM999,999,990.00')
            when 'JPY' then '¥' || to_char(products.price, 'FM999,999,990')
            else concat_ws(' ', to_char(products.price, 'FM999,999,990.00'), currency.currency)
        end as price,
        -- The parameters go before a fragment, and after the page's own.
        split_part(products.product_url, '#', 1)
        || case when placed.utm is null then '' when strpos(products.product_url, '?') > 0 then '&' else '?' end
        || coalesce(placed.utm, '')
        || substring(products.product_url from strpos(products.product_url || '#', '#')) as url
    from placed
    cross join lateral (
        select listed.*
        from {{ ref('dim_products') }} as listed
        where listed.product_id = placed.product_id
        offset 0
    ) as products
    left join currency on currency.as_of = placed.as_of
),

final as (
    select
        shown.run_id,
        shown.contact_id,
        shown.campaign,
        shown.step,
        max(shown.wanted) as wanted,
        count(distinct shown.number)::integer as recommended,
        array_agg(shown.product_id order by shown.number) filter (where field.name = 'name') as product_ids,
        array_agg(shown.kind order by shown.number) filter (where field.name = 'name') as kinds,
        jsonb_object_agg('rec' || shown.number || '_' || field.name, field.value) as merge_fields,
        shown.as_of
    from shown
    cross join lateral (
        values
        ('name', shown.product_name),
        ('category', shown.category),
        ('price', shown.price),
        ('image_url', shown.image_url),
        ('url', shown.url)
    ) as field (name, value)
    group by shown.run_id, shown.contact_id, shown.campaign, shown.step, shown.as_of
)

select * from final
