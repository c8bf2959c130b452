-- The daily run asks who opened something between two instants.
create index engagement_event_occurred on events.engagement_event (occurred_at);
