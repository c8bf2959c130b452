{# The ids of all contacts of one contact's person, as an array expression. Hardly anybody shares an address: whether somebody does is
   asked first, with two look-ups, and only then are the person's contacts walked. #}
{% macro person_ids(contact_id, contacts) -%}
    case
        when exists (
            select 1
            from {{ contacts }} as self
            where
                self.contact_id = {{ contact_id }}
                and (
                    exists (
                        select 1
                        from {{ contacts }} as same_email
                        where
                            {{ email_key('same_email.email') }} = {{ email_key('self.email') }}
                            and same_email.contact_id <> self.contact_id
                    )
                    or exists (
                        select 1
                        from {{ contacts }} as same_phone
                        where
                            {{ phone_key('same_phone.phone') }} = {{ phone_key('self.phone') }}
                            and same_phone.contact_id <> self.contact_id
                    )
                )
        )
            then (
                with recursive linked as (
                    {{ person_members('(select ' ~ contact_id ~ ')', contacts) }}
                )

                select array_agg(distinct linked.member_contact_id)
                from linked
            )
        else array[{{ contact_id }}]
    end
{%- endmacro %}
