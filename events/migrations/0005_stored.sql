-- What a carrier says of the address itself, and when a row was stored: an event that landed late has an old received_at, and whoever
-- goes by that passes it over.
alter table events.delivery_event add column address_fault text
    check (address_fault in ('invalid', 'stopped', 'unsubscribed', 'complained', 'soft'));
alter table events.delivery_event add column stored_at timestamptz not null default now();
alter table events.engagement_event add column stored_at timestamptz not null default now();
alter table events.preference add column stored_at timestamptz not null default now();

create index delivery_event_fault on events.delivery_event (stored_at) where kind = 'bounced' or address_fault is not null;
create index engagement_event_no on events.engagement_event (stored_at) where kind in ('complained', 'unsubscribed');
create index preference_stored on events.preference (stored_at);

comment on column events.delivery_event.address_fault is 'What it says of the address: invalid, stopped, unsubscribed, complained: for good; soft: this time. Null: nothing, or the kind says it (bounced).';
comment on column events.delivery_event.stored_at is 'When this row was written, by the database''s clock. Folding goes by it.';
comment on column events.engagement_event.stored_at is 'When this row was written, by the database''s clock. Folding goes by it.';
comment on column events.preference.stored_at is 'When this row was written, by the database''s clock. Folding goes by it.';
