-- Webhooks that landed in the warehouse by other means are read by the sender role, and inserted as events by the webhook role.
grant select on raw.provider_events to winback_sender;
