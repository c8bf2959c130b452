-- What psql's \d+ says of the ledger.
comment on schema outbox is 'What was decided, what cost money, what reached a person. Nothing here is ever deleted; states only move as outbox.transition says.';

comment on table outbox.definition is 'One row per campaign definition (kind campaign) or set of them (kind bundle), by the hash of its content.';
comment on column outbox.definition.kind is 'campaign: one campaign file. bundle: which campaign files a run went by.';
comment on column outbox.definition.body is 'A campaign as its file says; of a bundle, campaign -> hash.';

comment on table outbox.template is 'One row per compiled template. With a message''s merge_fields: what was said, word for word.';
comment on column outbox.template.push is 'title, body, url and icon of a push message.';

comment on table outbox.run is 'One row per run of a pipeline, from build to enqueue. One at a time is open.';
comment on column outbox.run.mode is 'live: the database''s time; simulated: a clock that is stepped through, with sandbox senders alone.';
comment on column outbox.run.clock is 'The business time at which the run was started.';
comment on column outbox.run.definition_hash is 'The bundle of campaigns it goes by.';
comment on column outbox.run.target is 'The dbt target that builds it. Enqueue takes prod alone.';
comment on column outbox.run.holder is 'Who may go on with it: Airflow''s run id, or the shell that began it.';
comment on column outbox.run.state is 'building, built, validated (the gate has judged it), enqueued (decisions, grants and messages are frozen); failed; abandoned.';
comment on column outbox.run.lease_until is 'Database time. After it another run may take over.';
comment on column outbox.run.request_count is 'Requests that the gate validated: enqueue takes exactly these.';
comment on column outbox.run.request_checksum is 'Checksum of the requests that the gate validated.';
comment on column outbox.run.verdict is 'Campaign -> passed or held, and why.';
comment on column outbox.run.enqueued is 'What enqueue answered: a retried task is told the same.';
comment on column outbox.run.detail is 'Why it failed, without people.';

comment on table outbox.run_day is 'One row per run and day that it decides.';
comment on column outbox.run_day.clock is 'What was known on this day: nothing after it is seen.';

comment on table outbox.decision is 'One row per contact, campaign, step, day and run: what was decided, and why. Appended by enqueue, never changed.';
comment on column outbox.decision.episode_on is 'The day the contact''s clock started: the last purchase, or the last activity.';
comment on column outbox.decision.due_on is 'The day the step fell due: as_of, or up to max_late_days before it.';
comment on column outbox.decision.mode is 'shadow: decided, and nothing sent; allowlist: to named contacts alone; live.';
comment on column outbox.decision.decision is 'send, hold (decided anew tomorrow), skip (final) or holdout.';
comment on column outbox.decision.reason is 'The first rule that failed; null where it is send.';
comment on column outbox.decision.reasons is 'All rules that failed.';
comment on column outbox.decision.seen is 'The values that the decision saw.';

comment on table outbox.coupon_grant is 'One row per code granted to a contact for a step of an episode. A code is never granted twice unless it was released.';
comment on column outbox.coupon_grant.episode_on is 'The day the contact''s clock started.';
comment on column outbox.coupon_grant.valid_until is 'The end of the offer, as the message says it.';
comment on column outbox.coupon_grant.released_at is 'When the code went back to its pool: its message provably never left.';

comment on table outbox.message is 'One row per message: at most one per campaign, contact, episode and step, for ever.';
comment on column outbox.message.episode_on is 'The day the contact''s clock started.';
comment on column outbox.message.step_days is 'How long the step keeps a second episode away: a corrected order must not mail twice.';
comment on column outbox.message.due_on is 'The day the step fell due: as_of, or up to max_late_days before it.';
comment on column outbox.message.channels is 'Which channels are tried, in this order.';
comment on column outbox.message.channel_no is 'Which of them is tried now, from 1.';
comment on column outbox.message.merge_fields is 'What fills the template. No name and no address: those are read when it leaves.';
comment on column outbox.message.variant is 'Which variant of an experiment.';
comment on column outbox.message.offer is 'Which offer of the step, where offers go by value tier.';
comment on column outbox.message.tag is 'Added to the contact when the message is accepted.';
comment on column outbox.message.consent is 'Channel -> the consent it was decided on.';
comment on column outbox.message.not_before is 'When it may leave.';
comment on column outbox.message.not_after is 'When it is too late: it expires.';
comment on column outbox.message.state is 'planned, sending, accepted (the provider has it), rejected, in_doubt (may have left, never resent by itself), skipped, expired.';
comment on column outbox.message.reason is 'Why it was skipped, expired, rejected or sent back to planned.';
comment on column outbox.message.planned_at is 'In the run''s clock, as all times here.';
comment on column outbox.message.accepted_channel is 'The channel that reached the person.';

comment on table outbox.attempt is 'One row per attempt to hand a message to a provider. At most one of a message may have left.';
comment on column outbox.attempt.address_hash is 'Where it went, hashed: an opt-out counts for it after the address has changed.';
comment on column outbox.attempt.lease_until is 'Database time. An open attempt past it becomes unknown.';
comment on column outbox.attempt.outcome is 'open, accepted, not_sent (provably never left), rejected, unknown (may have left: moves only with evidence).';
comment on column outbox.attempt.provider_message_id is 'The provider''s own id of it.';
comment on column outbox.attempt.error_code is 'The provider''s own error code.';
comment on column outbox.attempt.segments is 'Texts: how many segments are paid for.';
comment on column outbox.attempt.encoding is 'Texts: GSM-7 or UCS-2.';
comment on column outbox.attempt.consent is 'What the claim relied on.';
comment on column outbox.attempt.evidence is 'What moved it out of unknown: a webhook, a provider''s log, an operator.';

comment on table outbox.notice is 'One row per alert to the team: once per kind, subject and day.';
comment on column outbox.notice.kind is 'pool_dry, pool_low, gate_failed, run_failed and the like.';
comment on column outbox.notice.state is 'planned, sending, accepted, rejected, in_doubt: as of outbox.message.';
comment on column outbox.notice.subject is 'What it is about: a promotion, a campaign; never a person.';

comment on table outbox.notice_attempt is 'One row per attempt to send an alert.';
comment on column outbox.notice_attempt.lease_until is 'Database time. An open attempt past it becomes unknown.';
comment on column outbox.notice_attempt.outcome is 'open, accepted, not_sent, rejected, unknown: as of outbox.attempt.';

comment on table outbox.contact_event is 'One row per event that Winback caused for a contact, for other systems to read.';
comment on column outbox.contact_event.name is 'coupon_assigned or coupon_released.';
comment on column outbox.contact_event.caused_by is 'The coupon_grant or message.';

comment on table outbox.contact_tag is 'One row per time that a contact carried a tag. Carried now: removed_at is null.';
comment on column outbox.contact_tag.caused_by is 'The message or run that added it.';

comment on table outbox.suppression is 'One row per address that is not to be written to on a channel, and why. In force: not lifted, and until is not past.';
comment on column outbox.suppression.address_hash is 'Keyed hash of the normalised address. No address is kept.';
comment on column outbox.suppression.reason is 'unsubscribed, complained, bounced, stopped, invalid, operator or imported.';
comment on column outbox.suppression.source is 'Who said so: provider, one_click, preference_page, sms_keyword, operator.';
comment on column outbox.suppression.event_received_at is 'When the event came that it rests on.';
comment on column outbox.suppression.until is 'Null: for good.';

comment on table outbox.address_key is 'The key of address hashes: one row, readable by the owner alone.';
comment on table outbox.transition is 'One row per step that a state may take.';
comment on column outbox.transition.ledger is 'The table: run, message, attempt or notice.';
comment on table outbox.time_zone is 'One row per IANA zone that this server knows.';
comment on table outbox.country_zone is 'One row per country and IANA zone in it.';
comment on column outbox.country_zone.country is 'ISO 3166, two letters.';
