-- A campaign that goes by the last activity asks who was created on a day and never did anything.
-- Supersedes 6b91675a289a4ba349248860802dded8b9762d14c6506a705fcc77be23f4cde8, which refused views.
do $$
begin
    create index if not exists winback_contacts_created_at on raw.contacts (created_at);
exception when undefined_column then
    raise notice 'raw.contacts: no index on (created_at), the column is missing';
when wrong_object_type then
    raise notice 'raw.contacts: no index on (created_at), it is a view: index what lies under it';
end
$$;
