-- What psql's \d+ says of what providers and people told us.
comment on schema events is 'What came back from providers and people. Inserts only: nothing here is ever changed or deleted.';

comment on table events.webhook_call is 'One row per call of a webhook as it came, before anything is parsed. Refused calls are kept, too.';
comment on column events.webhook_call.verdict is 'verified: its signature holds and its events were stored. Anything else: refused, and no event of it counts.';
comment on column events.webhook_call.reason is 'Why it was refused, in words.';
comment on column events.webhook_call.headers is 'Without credentials.';
comment on column events.webhook_call.body_sha256 is 'Of the body: shows that two calls were the same.';

comment on table events.delivery_event is 'One row per thing that a carrier did with a message. A replayed call adds none.';
comment on column events.delivery_event.event_key is 'Provider and the provider''s own event id.';
comment on column events.delivery_event.call_id is 'The webhook_call it came with.';
comment on column events.delivery_event.message_id is 'outbox.message.id, as planted in the message; null where the provider did not give it back.';
comment on column events.delivery_event.kind is 'accepted, delivered, deferred, bounced, dropped, failed; unknown: a word that the parser does not know, kept.';
comment on column events.delivery_event.code is 'The provider''s own error code.';
comment on column events.delivery_event.detail is 'The provider''s words, addresses removed.';
comment on column events.delivery_event.occurred_at is 'When the provider says it happened.';
comment on column events.delivery_event.received_at is 'When it reached us.';

comment on table events.engagement_event is 'One row per thing that a person (or a machine) did with a message. A replayed call adds none.';
comment on column events.engagement_event.event_key is 'Provider and the provider''s own event id.';
comment on column events.engagement_event.call_id is 'The webhook_call it came with.';
comment on column events.engagement_event.message_id is 'outbox.message.id, as planted in the message; null where the provider did not give it back.';
comment on column events.engagement_event.kind is 'opened, clicked, unsubscribed, complained; unknown: a word that the parser does not know, kept.';
comment on column events.engagement_event.is_machine is 'True: a scanner or a privacy proxy, not a person. Never counts as opened.';
comment on column events.engagement_event.url is 'What was clicked.';
comment on column events.engagement_event.occurred_at is 'When the provider says it happened.';
comment on column events.engagement_event.received_at is 'When it reached us.';

comment on table events.preference is 'One row per wish: to be left alone, for a while or for good, or to hear from us again. The newest of a channel and address counts.';
comment on column events.preference.event_key is 'Makes the same wish, told twice, one row.';
comment on column events.preference.call_id is 'The webhook_call it came with; null for a link or button of a message.';
comment on column events.preference.message_id is 'The message whose link was used.';
comment on column events.preference.address_hash is 'Inbound texts: who wrote, hashed as in outbox.suppression.';
comment on column events.preference.kind is 'unsubscribed, resubscribed or paused.';
comment on column events.preference.until is 'Of paused: until when.';
comment on column events.preference.source is 'one_click, preference_page, sms_keyword, complaint or provider.';
comment on column events.preference.occurred_at is 'When the person said it.';
comment on column events.preference.received_at is 'When it reached us.';
