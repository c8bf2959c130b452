{# What a snapshot has kept cannot be had again: nothing is deleted from it, whoever asks, its owner included, as in the outbox. dbt's own
   way of writing one updates and inserts, so it never meets the guard. In prod alone: a developer's schemas are the developer's.
   Only DROP is left to the owner, for PostgreSQL lets nobody but a superuser stand in its way (an event trigger). #}
{% macro guard_history() -%}
    {%- if target.name == 'prod' and execute -%}
        {%- set schemas = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'snapshot' and node.schema not in schemas -%}
            {%- do schemas.append(node.schema) -%}
        {%- endfor -%}
        {%- for schema in schemas | sort %}
            create or replace function {{ schema }}.refuse_erasure() returns trigger language plpgsql as $guard$
            begin
                raise exception '%.% is history: nothing is deleted from it', tg_table_schema, tg_table_name
                    using errcode = 'restrict_violation';
            end
            $guard$;
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}

{# The guard of one snapshot, made once: a table that dbt has made anew gets it at the end of the same run. #}
{% macro guard_rows() -%}
    {%- if target.name == 'prod' and execute -%}
        do $guard$
        begin
            if not exists (select from pg_trigger where tgrelid = '{{ this }}'::regclass and tgname = 'no_delete') then
                create trigger no_delete before delete on {{ this }}
                    for each row execute function {{ this.schema }}.refuse_erasure();
                create trigger no_truncate before truncate on {{ this }}
                    for each statement execute function {{ this.schema }}.refuse_erasure();
            end if;
        end
        $guard$
    {%- endif -%}
{%- endmacro %}
