{{ config(materialized='table', indexes=[{'columns': ['contact_id']}], post_hook='analyze {{ this }}') }}

-- For the contacts to be decided only. The oldest contact names the person, so that one who joins later changes no holdout.
with recursive seeds as (
    select distinct contact_id
    from {{ ref('int_candidates') }}
),

linked as (
    {{ person_members('seeds', ref('stg_raw__contacts')) }}
),

final as (
    select
        contact_id,
        member_contact_id,
        first_value(member_contact_id) over (
            partition by contact_id order by created_at nulls last, member_contact_id collate "C"
        ) as person_id,
        count(*) over (partition by contact_id) as person_contacts
    from linked
)

select * from final
