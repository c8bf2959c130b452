{% snapshot consents %}
{{ config(
    unique_key='contact_id',
    strategy='timestamp',
    updated_at='updated_at',
    indexes=[
        {'columns': ['contact_id', 'dbt_valid_from']},
        {'columns': ['updated_at']},
    ],
) }}

-- depends_on: {{ ref('int_run_days') }}
{% set history = load_relation(this) %}
-- Keyed hashes, never addresses: whether a consent was given for an address can be answered years later by whoever has the address.
select
    contact_id,
    has_email_consent,
    email_consent_at,
    email_consent_source,
    email_consent_text_version,
    has_sms_consent,
    sms_consent_at,
    sms_consent_source,
    sms_consent_text_version,
    outbox.address_hash('email', email) as email_hash,
    outbox.address_hash('sms', phone) as phone_hash,
    updated_at
from {{ ref('stg_raw__contacts') }}
where
    {{ changed_since('updated_at', history, 'updated_at') }}
    and updated_at < {{ run_clock() }}

{% endsnapshot %}
