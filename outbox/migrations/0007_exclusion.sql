-- The same exclusion over one short key in place of three texts: comparing texts in a GiST was half of what freezing a message cost.
-- Campaign and step hold no colon (campaigns/schema.py), so no two of these triples are written alike.
alter table outbox.message drop constraint message_contact_id_campaign_step_daterange_excl;
alter table outbox.message add constraint message_episode_excl exclude using gist (
    (md5(campaign || ':' || step || ':' || contact_id)::uuid) with =, daterange(episode_on, episode_on + step_days) with &&
) where (state not in ('skipped', 'expired', 'rejected'));
comment on constraint message_episode_excl on outbox.message is
    'A corrected order that moves an episode slightly must not mail the same step twice.';
