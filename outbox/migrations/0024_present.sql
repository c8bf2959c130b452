-- The present of a live ledger, for reports alone: whoever asks a view cannot pass it a clock. Nothing that decides may ask for it
-- (tests/integration/test_dbt_project.py).
create function outbox.present() returns timestamptz language sql stable parallel safe as 'select now()';
comment on function outbox.present() is 'The database''s time at the beginning of the transaction: what reports on a live ledger count up to.';
