{{ config(materialized='live_view') }}

-- Looked up by contact_id: it costs that one person. No CTE: see recipients.
select
    contacts.contact_id::text as contact_id,
    members.member_contact_id::text as member_contact_id
from {{ source('raw', 'contacts') }} as contacts
cross join lateral (
    {{ members_of('contacts.contact_id') }}
) as members
