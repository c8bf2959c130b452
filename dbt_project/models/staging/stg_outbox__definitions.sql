select
    hash as definition_hash,
    kind,
    body
from {{ source('outbox', 'definition') }}
