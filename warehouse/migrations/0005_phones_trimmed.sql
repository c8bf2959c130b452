-- A phone with a blank around it is the same phone: contacts are linked by btrim(phone), as recipients are written to. The index on the
-- phone as it stands, which nothing asks any more, goes.
do $$
begin
    create index if not exists winback_contacts_phone_trimmed on raw.contacts (btrim(phone));
    drop index if exists raw.winback_contacts_phone;
exception when undefined_column then
    raise notice 'raw.contacts: no index on (btrim(phone)), the column is missing';
when wrong_object_type then
    raise notice 'raw.contacts: no index on (btrim(phone)), it is a view: index what lies under it';
end
$$;
