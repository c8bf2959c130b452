{# dbt's own macro compares the snapshot's query with every current row of the history, so that each run costs as much as the history.
   Ours looks up the current rows of the keys that the query returns, by index. For strategy timestamp with one key and no hard deletes:
   what our snapshots use, and nothing else is accepted. #}
{% macro postgres__snapshot_staging_table(strategy, source_sql, target_relation) -%}
    {%- if strategy.unique_key is not string or strategy.hard_deletes in ('invalidate', 'new_record') -%}
        {%- do exceptions.raise_compiler_error('snapshots of this project use one key and keep deleted rows: ' ~ model.name) -%}
    {%- endif %}
    with changed as (
        select
            source_rows.*,
            source_rows.{{ strategy.unique_key }} as dbt_unique_key,
            source_rows.{{ strategy.updated_at }} as dbt_updated_at,
            source_rows.{{ strategy.updated_at }} as dbt_valid_from
        from (
            {{ source_sql }}
        ) as source_rows
    ),

    compared as (
        select
            changed.*,
            kept.dbt_scd_id as kept_scd_id,
            kept.dbt_valid_from as kept_valid_from
        from changed
        left join lateral (
            select
                history.dbt_scd_id,
                history.dbt_valid_from
            from {{ target_relation }} as history
            where history.{{ strategy.unique_key }} = changed.dbt_unique_key and history.dbt_valid_to is null
            offset 0
        ) as kept on true
        where kept.dbt_scd_id is null or kept.dbt_valid_from < changed.dbt_valid_from
    )
{# One row to insert for each change, and one to end what it replaces: the columns that dbt's own macro returns, in their order. #}
    {%- set columns = get_columns_in_query(source_sql) %}

    select
        'insert' as dbt_change_type,
        {% for column in columns %}{{ adapter.quote(column) }}, {% endfor -%}
        dbt_unique_key,
        dbt_updated_at,
        dbt_valid_from,
        null::timestamptz as dbt_valid_to,
        md5(dbt_unique_key || '|' || extract(epoch from dbt_valid_from)::text) as dbt_scd_id
    from compared
    union all
    select
        'update' as dbt_change_type,
        {% for column in columns %}{{ adapter.quote(column) }}, {% endfor -%}
        dbt_unique_key,
        dbt_updated_at,
        dbt_valid_from,
        dbt_valid_from as dbt_valid_to,
        kept_scd_id as dbt_scd_id
    from compared
    where kept_scd_id is not null
{%- endmacro %}

{# The same for what follows: with statistics on the staged rows, the history is met by the index on its key. dbt meets it by dbt_scd_id alone,
   a hash: an index on that is written all over at every run, so that each row costs more the longer the history is. #}
{% macro postgres__snapshot_merge_sql(target, source, insert_cols) -%}
    analyze {{ source }};

    update {{ target }}
    set dbt_valid_to = changed.dbt_valid_to
    from {{ source }} as changed
    where
        changed.dbt_change_type = 'update'
        and changed.dbt_unique_key = {{ target }}.{{ config.get('unique_key') }}
        and changed.dbt_scd_id = {{ target }}.dbt_scd_id
        and {{ target }}.dbt_valid_to is null;

    insert into {{ target }} ({{ insert_cols | join(', ') }})
    select {{ insert_cols | join(', ') }}
    from {{ source }}
    where dbt_change_type = 'insert'
{%- endmacro %}
