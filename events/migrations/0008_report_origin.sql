-- Whether what was reported speaks of a message that this ledger tried to send. The webhook role cannot know: it reads nothing. So an event
-- of an unknown message is kept like any other, counts for nobody (whatever reads events joins the ledger), and is marked here.
create view events.report_origin as
select
    event_key, provider, channel, message_id, provider_message_id, kind, occurred_at, received_at,
    exists (select from outbox.attempt a where a.message_id = e.message_id)
    or exists (select from outbox.attempt a where a.provider_message_id = e.provider_message_id)
    or exists (select from outbox.notice_attempt n where n.provider_message_id = e.provider_message_id) as is_ours
from (
    select event_key, provider, channel, message_id, provider_message_id, kind, occurred_at, received_at
    from events.delivery_event
    union all
    select event_key, provider, channel, message_id, provider_message_id, kind, occurred_at, received_at
    from events.engagement_event
) e;
create index notice_attempt_provider_id on outbox.notice_attempt (provider_message_id) where provider_message_id is not null;
grant select on events.report_origin to winback_dbt, winback_sender, winback_analyst;

comment on view events.report_origin is 'One row per delivery_event and engagement_event, marked with whether it speaks of a message of ours.';
comment on column events.report_origin.kind is 'As in the table that it is from.';
comment on column events.report_origin.is_ours is 'An attempt exists with its message id or the provider''s. False: another system''s mail of the same account, a test by send-test, or another ledger''s.';
