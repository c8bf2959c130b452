{{ config(materialized='live_view') }}

-- Whom other systems should leave alone: what is about to leave, from the decision on (whoever else mails before our send hour asks then), what
-- may have left, and what arrived on the same day of the contact's own calendar (the caps allow one a day). Each under every contact of the
-- person. No CTE and no clock: see recipients; whoever reads it says when. What is planned and what is open stand apart, for each has its own
-- partial index.
select
    members.member_contact_id as contact_id,
    flights.campaign,
    flights.step,
    flights.channel,
    flights.state,
    flights.since,
    flights.until
from (
    select
        messages.contact_id,
        messages.campaign,
        messages.step,
        messages.channels[messages.channel_no] as channel,
        messages.state,
        messages.planned_at as since,
        messages.not_after as until
    from {{ source('outbox', 'message') }} as messages
    where messages.state = 'planned'
    union all
    select
        messages.contact_id,
        messages.campaign,
        messages.step,
        messages.channels[messages.channel_no] as channel,
        messages.state,
        messages.planned_at as since,
        messages.not_after as until
    from {{ source('outbox', 'message') }} as messages
    where messages.state in ('sending', 'in_doubt')
    union all
    select
        messages.contact_id,
        messages.campaign,
        messages.step,
        messages.accepted_channel as channel,
        messages.state,
        messages.accepted_at as since,
        {{ day_start('(messages.accepted_at at time zone calendars.zone)::date + 1', 'calendars.zone') }} as until
    from {{ source('outbox', 'message') }} as messages
    inner join {{ source('outbox', 'definition') }} as definitions on definitions.hash = messages.definition_hash
    cross join lateral (
        select coalesce(
            (
                select zones.zone
                from {{ source('raw', 'contacts') }} as contacts
                inner join {{ source('outbox', 'time_zone') }} as zones on zones.zone = btrim(contacts.timezone)
                where contacts.contact_id = messages.contact_id
            ),
            definitions.body ->> 'timezone'
        ) as zone
        offset 0
    ) as calendars
    -- A message lives no longer than its campaign's patience: what was accepted from an earlier day's run is over, and an index finds the others.
    where
        messages.state = 'accepted'
        and messages.as_of >= {{ oldest_recent_run() }}
) as flights
cross join lateral (
    {{ members_of('flights.contact_id') }}
) as members
