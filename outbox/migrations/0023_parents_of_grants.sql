-- The last parent that was looked up row by row when a day is frozen, and locked each time: a message's grant. It is asked for once a
-- statement, as its run, its template and its definition are (0008_cheaper_rows.sql): no grant is ever deleted, and none changes its id.
create or replace function outbox.refuse_orphans() returns trigger language plpgsql as $$
declare
    orphan text;
begin
    for part in 0 .. tg_nargs - 1 by 3 loop        -- column, parent table, its key
        execute format(
            'select named.value::text from (select distinct %1$I as value from added where %1$I is not null) as named'
            ' where not exists (select from outbox.%2$I parent where parent.%3$I = named.value) limit 1',
            tg_argv[part], tg_argv[part + 1], tg_argv[part + 2]
        ) into orphan;
        if orphan is not null then
            raise exception 'outbox.%: % % is not in outbox.%', tg_table_name, tg_argv[part], orphan, tg_argv[part + 1]
                using errcode = 'foreign_key_violation', schema = tg_table_schema, table = tg_table_name, column = tg_argv[part];
        end if;
    end loop;
    return null;
end
$$;
alter table outbox.message drop constraint message_coupon_grant_id_fkey;
drop trigger parents on outbox.message;
create trigger parents after insert on outbox.message referencing new table as added for each statement
    execute function outbox.refuse_orphans(
        'run_id', 'run', 'run_id', 'template_hash', 'template', 'template_hash', 'definition_hash', 'definition', 'hash',
        'coupon_grant_id', 'coupon_grant', 'id'
    );
