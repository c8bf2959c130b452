-- Rows still only grow, but for outbox.erase(): a guard's argument is what a row of its table looks like when it is erased.
alter table events.webhook_call add column erased_at timestamptz;
comment on column events.webhook_call.erased_at is 'When headers and body were erased (database time), because somebody it spoke of was forgotten.';

create or replace function events.refuse_change() returns trigger language plpgsql set bytea_output = 'hex' as $$
begin
    if tg_op = 'UPDATE' and tg_nargs = 1 then
        if to_jsonb(new) - 'erased_at' = (to_jsonb(old) - 'erased_at') || tg_argv[0]::jsonb
            and outbox.is_erasing((
                select m.contact_id from outbox.message m where m.id = (to_jsonb(old) ->> 'message_id')::uuid
            ))
        then
            return new;
        end if;
    end if;
    raise exception 'events.% only ever grows', tg_table_name using errcode = 'restrict_violation';
end
$$;
drop trigger only_grows on events.webhook_call;
create trigger only_grows before update or delete on events.webhook_call for each row execute function events.refuse_change(
    '{"headers": {}, "body": "\\x", "body_sha256": "\\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}'
);
drop trigger only_grows on events.delivery_event;
create trigger only_grows before update or delete on events.delivery_event for each row execute function events.refuse_change('{"detail": null}');
drop trigger only_grows on events.engagement_event;
create trigger only_grows before update or delete on events.engagement_event for each row execute function events.refuse_change('{"url": null}');
