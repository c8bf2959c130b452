-- What anybody reported of a message, whichever table it is in: that a provider or a person speaks of it proves that it had left.
create view events.report as
select event_key, provider, channel, message_id, provider_message_id, kind, occurred_at from events.delivery_event
union all
select event_key, provider, channel, message_id, provider_message_id, kind, occurred_at from events.engagement_event;
grant select on events.report to winback_dbt, winback_sender, winback_analyst;

comment on view events.report is 'One row per delivery_event and engagement_event, with what both have.';
