select
    visit_id::text as visit_id,
    contact_id::text as contact_id,
    visited_at::timestamptz as visited_at
from {{ source('raw', 'site_visits') }}
