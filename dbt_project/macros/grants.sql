{# Who may read what dbt built. Roles belong to prod alone: a developer's schemas are the developer's.
   A sender reads the hand-off, what enqueue archives, and the hashes of addresses that a contact once had (`winback forget`).
   A model whose yml says `config: {meta: {personal: true}}` shows addresses: no analyst reads it. #}
{% macro grant_reads() -%}
    {%- if target.name == 'prod' and execute -%}
        {%- set is_personal = (model.config.meta or {}).get('personal', false) -%}
        {%- set readers = [] if is_personal else ['winback_analyst'] -%}
        {%- if model.config.schema in ['handoff', 'allocations'] or model.name in ['fct_decisions', 'consents'] -%}
            {%- do readers.append('winback_sender') -%}
        {%- endif -%}
        {%- if readers -%}
            grant select on {{ this }} to {{ readers | join(', ') }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro grant_schemas() -%}
    {%- if target.name == 'prod' and execute -%}
        {%- set schemas = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type in ['model', 'snapshot'] and node.config.materialized != 'ephemeral' -%}
            {%- if node.schema not in schemas -%}{%- do schemas.append(node.schema) -%}{%- endif -%}
        {%- endfor -%}
        {%- for schema in schemas | sort %}
            create schema if not exists {{ schema }};
        {%- endfor %}
        grant usage on schema {{ schemas | sort | join(', ') }} to winback_analyst, winback_sender;
    {%- endif -%}
{%- endmacro %}
