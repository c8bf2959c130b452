-- A campaign stops itself when too large a share of its messages fails (outbox/brakes.py): what the address itself is to blame for is no
-- failure of the campaign, and what failed lately is found without reading what did not. Only rows that failed pay for the index.
alter table outbox.attempt add column is_address_fault boolean;
comment on column outbox.attempt.is_address_fault is 'Of rejected: true where the address is to blame (invalid, stopped, gone, none at all), and not the message, the account or the provider.';
create index attempt_failed on outbox.attempt (closed_at) where outcome in ('unknown', 'rejected');
