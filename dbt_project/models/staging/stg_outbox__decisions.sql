select
    run_id,
    contact_id,
    campaign,
    step,
    mode,
    decision,
    reason,
    reasons,
    variant,
    seen,
    definition_hash,
    as_of,
    episode_on,
    due_on,
    archived_at
from {{ source('outbox', 'decision') }}
