select
    table_name::text as table_name,
    complete_through::timestamptz as complete_through
from {{ source('raw', 'loads') }}
