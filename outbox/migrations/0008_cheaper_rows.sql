-- What freezing a million messages spent on anything but messages: random ids, an id that nobody asked for, and the same three
-- parents looked up a million times each (18 of 113 s).

-- In the order of time where the server can make them so: what is frozen together then lies together in every index on an id.
do $$
begin
    execute format('create function outbox.new_id() returns uuid language sql volatile parallel safe as %L', case
        when current_setting('server_version_num')::integer >= 180000 then 'select uuidv7()' else 'select gen_random_uuid()'
    end);
end
$$;
alter table outbox.message alter column id set default outbox.new_id();
alter table outbox.coupon_grant alter column id set default outbox.new_id();

-- An event is known by what caused it.
alter table outbox.contact_event drop column id;
drop index outbox.contact_event_once;
alter table outbox.contact_event add primary key (caused_by, name);

-- A foreign key asks for every row; a run's rows name a handful of runs, definitions and templates, and those are asked for once a
-- statement. It holds as long as a foreign key does: no parent is ever deleted, and none changes its key.
create function outbox.refuse_orphans() returns trigger language plpgsql as $$
declare
    orphan text;
begin
    for part in 0 .. tg_nargs - 1 by 3 loop        -- column, parent table, its key
        execute format(
            'select named.value::text from (select distinct %1$I as value from added) as named'
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
alter table outbox.message drop constraint message_run_id_fkey, drop constraint message_template_hash_fkey,
    drop constraint message_definition_hash_fkey;
create trigger parents after insert on outbox.message referencing new table as added for each statement
    execute function outbox.refuse_orphans('run_id', 'run', 'run_id', 'template_hash', 'template', 'template_hash', 'definition_hash', 'definition', 'hash');
alter table outbox.decision drop constraint decision_run_id_fkey, drop constraint decision_definition_hash_fkey;
create trigger parents after insert on outbox.decision referencing new table as added for each statement
    execute function outbox.refuse_orphans('run_id', 'run', 'run_id', 'definition_hash', 'definition', 'hash');

-- Definitions and templates never change at all (0002_guards.sql); of a run, the key does not.
create function outbox.refuse_other_key() returns trigger language plpgsql as $$
begin
    raise exception 'outbox.run: the id of a run never changes' using errcode = 'restrict_violation';
end
$$;
create trigger same_key before update on outbox.run for each row
    when (new.run_id is distinct from old.run_id) execute function outbox.refuse_other_key();

comment on table outbox.template is 'One row per compiled template. With the merge_fields of its step (outbox.definition) and of a message: what was said, word for word.';
comment on column outbox.message.merge_fields is 'What fills the template for this contact; what is the same for everybody stands in the step''s merge_fields in outbox.definition. No name and no address: those are read when it leaves.';
comment on function outbox.new_id() is 'A new id: in the order of time from PostgreSQL 18 on, random before.';
