select
    zone
from {{ source('outbox', 'time_zone') }}
