{# Contacts that share an e-mail address or a phone, transitively, are one person. Starting from `seeds` (a relation with contact_id),
   each step is a look-up in the indexes on lower(btrim(email)) and btrim(phone): it costs what the seeds cost, whatever the table's size.
   A malformed address links nobody: else everyone with "n/a" were one person.
   Columns: contact_id (the seed), member_contact_id, created_at. OFFSET 0 keeps the look-ups from becoming a join over all contacts. #}
{% macro person_members(seeds, contacts) %}
    select
        seeds.contact_id,
        seeds.contact_id as member_contact_id,
        contacts.created_at,
        case when {{ is_email('contacts.email') }} then {{ email_key('contacts.email') }} end as email_key,
        case when {{ is_phone('contacts.phone') }} then {{ phone_key('contacts.phone') }} end as phone_key
    from {{ seeds }} as seeds
    left join lateral (
        select
            known.created_at,
            known.email,
            known.phone
        from {{ contacts }} as known
        where known.contact_id = seeds.contact_id
        offset 0
    ) as contacts on true

    union

    select
        linked.contact_id,
        others.contact_id as member_contact_id,
        others.created_at,
        case when {{ is_email('others.email') }} then {{ email_key('others.email') }} end as email_key,
        case when {{ is_phone('others.phone') }} then {{ phone_key('others.phone') }} end as phone_key
    from linked
    cross join lateral (
        select
            same_email.contact_id,
            same_email.created_at,
            same_email.email,
            same_email.phone
        from {{ contacts }} as same_email
        where lower(btrim(same_email.email)) = linked.email_key
        union all
        select
            same_phone.contact_id,
            same_phone.created_at,
            same_phone.email,
            same_phone.phone
        from {{ contacts }} as same_phone
        where btrim(same_phone.phone) = linked.phone_key
        offset 0
    ) as others
{% endmacro %}

{# The contacts of one contact's person, as they are in the sources now, for a lateral subquery. Column: member_contact_id. A contact that
   raw does not know stands alone. #}
{% macro members_of(contact_id) %}
        with recursive linked as (
            select
                asked.contact_id as member_contact_id,
                case when {{ is_email('known.email') }} then {{ email_key('known.email') }} end as email_key,
                case when {{ is_phone('known.phone') }} then {{ phone_key('known.phone') }} end as phone_key
            from (select {{ contact_id }} as contact_id) as asked
            left join {{ source('raw', 'contacts') }} as known on known.contact_id = asked.contact_id

            union

            select
                others.contact_id as member_contact_id,
                case when {{ is_email('others.email') }} then {{ email_key('others.email') }} end as email_key,
                case when {{ is_phone('others.phone') }} then {{ phone_key('others.phone') }} end as phone_key
            from linked
            cross join lateral (
                select
                    same_email.contact_id,
                    same_email.email,
                    same_email.phone
                from {{ source('raw', 'contacts') }} as same_email
                where lower(btrim(same_email.email)) = linked.email_key
                union all
                select
                    same_phone.contact_id,
                    same_phone.email,
                    same_phone.phone
                from {{ source('raw', 'contacts') }} as same_phone
                where btrim(same_phone.phone) = linked.phone_key
                offset 0
            ) as others
        )

        select distinct linked.member_contact_id
        from linked
{% endmacro %}
