select
    run_id,
    mode,
    definition_hash,
    target,
    state,
    clock,
    created_at
from {{ source('outbox', 'run') }}
