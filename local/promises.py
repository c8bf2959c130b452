"""What the demo must have shown when it ends, and what must never have happened: questions to ledger and models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

FIRST_DAY, DRY_DAY, REFILLED_DAY, LAST_DAY = date(2017, 10, 1), date(2017, 10, 3), date(2017, 10, 4), date(2017, 10, 6)
EVENING = f"{DRY_DAY}T22:00:00"
"""Simulated, UTC: what people do between the two runs."""
COHORTS = {
    date(2017, 10, 1): (9, 4, 4),
    date(2017, 10, 2): (16, 7, 4),
    date(2017, 10, 3): (15, 6, 2),
    date(2017, 10, 4): (11, 6, 2),
    date(2017, 10, 5): (15, 4, 2),
    date(2017, 10, 6): (14, 3, 3),
}
"""How many contacts the year of purchases holds whose last one was 30, 60 and 90 days before each day."""


@dataclass(frozen=True)
class Shown:
    """One thing the demo promises: `query` counts how often it happened."""

    what: str
    query: str


PROMISES = (
    Shown(
        "e-mails with three recommendations accepted",
        """
        select count(*) from outbox.message
        where step = 'day30' and accepted_channel = 'email' and merge_fields ->> 'rec3_name' <> ''
        """,
    ),
    Shown(
        "texts with a code accepted",
        "select count(*) from outbox.message where step = 'day60' and accepted_channel = 'sms'",
    ),
    Shown(
        "e-mails with a code accepted",
        "select count(*) from outbox.message where coupon_grant_id is not null and accepted_channel = 'email'",
    ),
    Shown(
        "follow-up pushes accepted, three days after a person's open",
        """
        select count(*) from outbox.message push
        where push.step = 'day30_push' and push.accepted_channel = 'webpush' and exists (
            select from outbox.message mail join events.engagement_event e on e.message_id = mail.id
            where mail.contact_id = push.contact_id and mail.episode_on = push.episode_on and mail.step = 'day30'
                and not e.is_machine
                and (e.occurred_at at time zone 'America/New_York')::date <= push.as_of - 3
        )
        """,
    ),
    Shown(
        "contacts held because a pool was dry",
        "select count(distinct contact_id) from outbox.decision where decision = 'hold' and reason = 'pool_dry'",
    ),
    Shown(
        "alerts to the team about it",
        "select count(*) from outbox.notice where kind = 'pool_dry' and state = 'accepted'",
    ),
    Shown(
        "held contacts served with a code of the refill",
        f"""
        select count(distinct held.contact_id) from outbox.decision held
        join outbox.message sent using (contact_id, campaign, step, episode_on)
        join outbox.coupon_grant g on g.id = sent.coupon_grant_id
        join raw.coupon_codes c on c.code = g.code
        where held.reason = 'pool_dry' and sent.state = 'accepted' and sent.as_of > held.as_of
            and c.loaded_at = '{EVENING}Z'
        """,  # noqa: S608
    ),
    Shown(
        "messages cancelled by a purchase between decision and sending",
        "select count(*) from outbox.message where state = 'skipped' and reason = 'purchased_since'",
    ),
    Shown(
        "suppressed contacts left alone",
        "select count(distinct contact_id) from outbox.decision where decision = 'skip' and reason = 'suppressed'",
    ),
    Shown("held-out contacts", "select count(distinct contact_id) from outbox.decision where decision = 'holdout'"),
    Shown(
        "day-30 e-mails that only a machine opened three days ago or more: no push was decided for them",
        """
        select count(*) from outbox.message mail
        where mail.step = 'day30' and mail.state = 'accepted' and exists (
            select from events.engagement_event machine
            where machine.message_id = mail.id and machine.kind = 'opened' and machine.is_machine
                and (machine.occurred_at at time zone 'America/New_York')::date + 3
                    <= (select max(as_of) from outbox.run_day)
        ) and not exists (
            select from events.engagement_event person
            where person.message_id = mail.id and person.kind in ('opened', 'clicked') and not person.is_machine
        ) and not exists (
            select from outbox.decision push
            where push.step = 'day30_push' and push.contact_id = mail.contact_id and push.episode_on = mail.episode_on
        )
        """,
    ),
    Shown(
        "codes redeemed by the contact they were granted to",
        """
        select count(*) from raw.orders o
        join outbox.coupon_grant g on g.code = o.coupon_code and g.contact_id = o.contact_id
            and o.ordered_at between g.granted_at and g.valid_until
        where g.released_at is null and o.status = 'completed'
        """,
    ),
)

MUST_NOT = (
    Shown(
        "days whose cohorts are not those of the study",
        "select count(*) from (values "  # noqa: S608
        + ", ".join(f"(date '{day}', {', '.join(map(str, counts))})" for day, counts in COHORTS.items())
        + """
        ) as known (as_of, day30, day60, day90)
        where (select count(*) from cohorts.dormant_at_30 d where d.as_of = known.as_of) <> known.day30
            or (select count(*) from cohorts.dormant_at_60 d where d.as_of = known.as_of) <> known.day60
            or (select count(*) from cohorts.dormant_at_90 d where d.as_of = known.as_of) <> known.day90
        """,
    ),
    Shown(
        "pushes decided without a person's open or click",
        """
        select count(*) from outbox.decision push
        where push.step = 'day30_push' and not exists (
            select from outbox.message mail join events.engagement_event person on person.message_id = mail.id
            where mail.step = 'day30' and mail.contact_id = push.contact_id and mail.episode_on = push.episode_on
                and person.kind in ('opened', 'clicked') and not person.is_machine
        )
        """,
    ),
    Shown(
        "codes redeemed by somebody else, or granted twice",
        """
        select (
            select count(*) from raw.orders o join outbox.coupon_grant g on g.code = o.coupon_code
            where g.released_at is null and g.contact_id <> o.contact_id
        ) + (
            select count(*) - count(distinct code) from outbox.coupon_grant where released_at is null
        )
        """,
    ),
    Shown(
        "people messaged twice for one step of one episode",
        """
        select count(*) from outbox.message m
        join customers.int_same_person p using (contact_id)
        join outbox.message again on again.contact_id = p.member_contact_id and again.id > m.id
            and again.campaign = m.campaign and again.step = m.step
            and abs(again.episode_on - m.episode_on) < least(again.step_days, m.step_days)
        where m.state in ('sending', 'accepted', 'in_doubt') and again.state in ('sending', 'accepted', 'in_doubt')
        """,
    ),
    Shown(
        "people of a day's cohorts without a decision",
        """
        select count(*) from (
            select contact_id, as_of, 'day30' as step from cohorts.dormant_at_30
            union all select contact_id, as_of, 'day60' from cohorts.dormant_at_60
            union all select contact_id, as_of, 'day90' from cohorts.dormant_at_90
        ) as quiet
        where not exists (
            select from outbox.decision d
            where d.contact_id = quiet.contact_id and d.step = quiet.step and d.due_on = quiet.as_of
        )
        """,
    ),
    Shown("messages in doubt at the end", "select count(*) from outbox.message where state in ('sending', 'in_doubt')"),
)
