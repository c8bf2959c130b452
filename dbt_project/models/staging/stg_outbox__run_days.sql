select
    run_id,
    as_of,
    clock
from {{ source('outbox', 'run_day') }}
