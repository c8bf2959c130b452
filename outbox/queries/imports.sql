-- History: steps that another tool sent before Winback went live, from a file, checked as a whole before any of it counts.

-- name: make_import_table()#
-- The file as it is, a row a line, all text; gone when the transaction ends.
create temporary table import_line (
    line bigint not null,
    contact_id text,
    campaign text,
    step text,
    sent_on text,
    channel text,
    episode_on text
) on commit drop;

-- name: share_import_table()#
-- Who may read raw.contacts looks for people that nobody knows.
grant select on import_line to winback_dbt;

-- name: import_problems(steps, today, told, key)
-- What is wrong with the file: a problem with the value it has, how many lines have it, and the first of them.
-- A value is told only where it looks like a key (empty: ''); anything else may be an address in a column that shifted.
with known as (
    select name.campaign, name.step
    from jsonb_to_recordset(:steps::jsonb) as name (campaign text, step text)
), read as (
    select l.*, outbox.day_of(l.sent_on) as sent_day, outbox.day_of(l.episode_on) as episode_day
    from import_line l
), problem as (
    select line, found.rank, found.kind, found.value
    from read
    cross join lateral (values
        (1, 'no_contact', null::text, contact_id is null),
        (2, 'unknown_campaign', case when campaign is null then '' when campaign ~ :key then campaign end,
            not exists (select from known where known.campaign = read.campaign)),
        (3, 'unknown_step', case when step is null then '' when step ~ :key then step end,
            exists (select from known where known.campaign = read.campaign)
            and not exists (select from known where known.campaign = read.campaign and known.step = read.step)),
        (4, 'bad_sent_on', null, sent_day is null),
        (5, 'future', null, sent_day > :today::date),
        (6, 'bad_episode_on', null, episode_on is not null and episode_day is null),
        (7, 'episode_after', null, episode_day > sent_day),
        (8, 'unknown_channel', case when channel ~ :key then channel end, channel is not null and channel not in ('email', 'sms', 'webpush'))
    ) as found (rank, kind, value, holds)
    where found.holds
)
select rank, kind, value, count(*) as lines, (array_agg(line order by line))[1:(:told)::integer] as first_lines
from problem
group by rank, kind, value
order by min(line), rank;

-- name: append_imports(steps, source)^
-- Marks what the file says: once, however often it is read. Of several lines of one episode the earliest day counts.
with known as (
    select name.campaign, name.step, name.key, name.step_days
    from jsonb_to_recordset(:steps::jsonb) as name (campaign text, step text, key text, step_days integer)
), marked as (
    select l.contact_id, l.campaign, k.key as step, k.step_days,
        coalesce(l.episode_on::date, l.sent_on::date - k.step_days) as episode_on,
        l.sent_on::date as sent_on, l.channel, l.line
    from import_line l
    join known k on k.campaign = l.campaign and k.step = l.step
), once as (
    select distinct on (contact_id, campaign, step, episode_on) *
    from marked
    order by contact_id, campaign, step, episode_on, sent_on, line
), added as (
    insert into outbox.imported_send (contact_id, campaign, step, episode_on, step_days, sent_on, channel, source)
    select contact_id, campaign, step, episode_on, step_days, sent_on, channel, :source
    from once
    where not exists (
        select from outbox.imported_send i
        where i.contact_id = once.contact_id and i.campaign = once.campaign and i.step = once.step
            and i.episode_on = once.episode_on
    )
    returning 1
)
select (select count(*) from import_line) as lines, (select count(*) from once) as steps, (select count(*) from added) as added;
