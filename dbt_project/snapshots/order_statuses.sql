{% snapshot order_statuses %}
{{ config(
    unique_key='order_id',
    strategy='timestamp',
    updated_at='updated_at',
    indexes=[
        {'columns': ['order_id', 'dbt_valid_from']},
        {'columns': ['updated_at']},
    ],
) }}

-- depends_on: {{ ref('int_run_days') }}
{% set history = load_relation(this) %}
select
    order_id,
    contact_id,
    status,
    refunded_total,
    updated_at
from {{ ref('stg_raw__orders') }}
where
    {{ changed_since('updated_at', history, 'updated_at') }}
    and updated_at < {{ run_clock() }}

{% endsnapshot %}
