-- A campaign that goes by the last activity asks who was created on a day and never did anything.
do $$
begin
    create index if not exists winback_contacts_created_at on raw.contacts (created_at);
exception when undefined_column then
    raise notice 'raw.contacts: no index on (created_at), the column is missing';
end
$$;
