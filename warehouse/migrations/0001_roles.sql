-- The four roles. Roles belong to the whole server, so another database may have made them already.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['winback_dbt', 'winback_sender', 'winback_webhook', 'winback_analyst'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I nologin', role_name);
        end if;
        if not pg_has_role(current_user, role_name, 'member') then
            execute format('grant %I to current_user', role_name);
        end if;
    end loop;
end
$$;

-- dbt makes its own schemas (and, on the dev target, each developer's).
do $$
begin
    execute format('grant create, connect, temporary on database %I to winback_dbt', current_database());
    execute format('grant connect on database %I to winback_sender, winback_webhook, winback_analyst', current_database());
end
$$;
