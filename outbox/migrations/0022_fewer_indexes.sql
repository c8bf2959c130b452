-- Every message pays for its indexes three times: frozen, claimed, accepted. The key of a step, by its contact first, finds a person's
-- messages as well as an index of their own did (a tenth of what freezing cost); and open attempts, a few hundred at a time, need one index.
alter table outbox.message
    add constraint message_step_once unique (contact_id, campaign, step, episode_on),
    drop constraint message_campaign_contact_id_episode_on_step_key;
drop index outbox.message_contact;

drop index outbox.attempt_worker;
drop index outbox.attempt_open;
create index attempt_open on outbox.attempt (worker, lease_until) where outcome = 'open';

comment on constraint message_step_once on outbox.message is 'Nobody gets a step of an episode twice.';
