"""The ledger of a shop's past: who was decided about, messaged and granted a code before the measured days.

An old shop has an old ledger, and every day's build reads it. It is written in bulk, past the guards that keep the real
one honest.
"""

from __future__ import annotations

from datetime import date, timedelta

import psycopg

from bench.history import CODES, LAST_DAY, ZONE, without_indexes
from bench.measure import say

STEPS = (("day30", 30, None), ("day60", 60, "winback_discount10"), ("day90", 90, "winback_discount20"))
TABLES = ("outbox.run", "outbox.run_day", "outbox.decision", "outbox.coupon_grant", "outbox.message")


def fill(connection: psycopg.Connection, first: date) -> None:
    """One enqueued run a day since `first`: whoever lapsed for good had their messages, all accepted, and codes."""
    definition, template = _definitions(connection)
    for table in TABLES:
        connection.execute(f"alter table {table} disable trigger user")
    connection.execute(
        "insert into outbox.run"
        " (mode, clock, definition_hash, target, holder, state, lease_until, created_at, closed_at)"
        " select 'simulated', day + interval '5 hours', %s, 'prod', 'bench', 'enqueued', day, day, day"
        " from generate_series(%s::timestamptz, %s::timestamptz - interval '1 day', interval '1 day') day",
        [definition["bundle"], first, LAST_DAY],
    )
    connection.execute(
        "insert into outbox.run_day (run_id, as_of, clock) select run_id, clock::date, clock from outbox.run"
    )
    connection.execute(
        """
        create temporary table lapsed as
        select contact_id, (max(ordered_at) at time zone %s)::date as episode_on
        from raw.orders where status <> 'cancelled' group by contact_id
        """,
        [str(ZONE)],
    )
    with without_indexes(connection, *TABLES[2:]):
        for step, days, promotion in STEPS:
            _step(
                connection,
                {
                    "step": step,
                    "days": days,
                    "promotion": promotion,
                    "definition": definition["winback"],
                    "template": template,
                },
            )
    for table in TABLES:
        connection.execute(f"alter table {table} enable trigger user")
    used = connection.execute("select promotion, count(*) from outbox.coupon_grant group by promotion").fetchall()
    for promotion, count in used:
        connection.execute(
            "insert into raw.coupon_codes (promotion, code, loaded_at)"
            " select %(promotion)s, upper(%(promotion)s) || '-' || lpad(n::text, 9, '0'), '2000-01-01'"
            " from generate_series(1, %(count)s) n",
            {"promotion": promotion, "count": count + CODES},
        )
    say(f"its ledger: {sum(count for _, count in used):,} codes granted, {CODES:,} left in each pool")


def _step(connection: psycopg.Connection, values: dict[str, object]) -> None:
    connection.execute(
        """
        create temporary table decided as
        select l.contact_id, l.episode_on, l.episode_on + %(days)s as as_of, d.run_id, d.clock,
            c.consent_email as is_sent, gen_random_uuid() as message_id, gen_random_uuid() as grant_id,
            row_number() over (order by l.episode_on, l.contact_id) as place
        from lapsed l
        join outbox.run_day d on d.as_of = l.episode_on + %(days)s
        join raw.contacts c on c.contact_id = l.contact_id
        """,
        values,
    )
    connection.execute(
        """
        insert into outbox.decision (
            run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision, reason, reasons, seen,
            definition_hash, archived_at
        )
        select run_id, as_of, contact_id, 'winback', %(step)s, episode_on, as_of, 'live',
            case when is_sent then 'send' else 'skip' end, case when not is_sent then 'no_email_consent' end,
            case when is_sent then '{}' else array['no_email_consent'] end, '{}', %(definition)s, clock
        from decided
        """,
        values,
    )
    if values["promotion"]:
        connection.execute(
            """
            insert into outbox.coupon_grant (
                id, promotion, code, contact_id, campaign, episode_on, step, as_of, granted_at, valid_until
            )
            select grant_id, %(promotion)s,
                upper(%(promotion)s) || '-' || lpad((row_number() over (order by place))::text, 9, '0'),
                contact_id, 'winback', episode_on, %(step)s, as_of, clock, clock + interval '15 days'
            from decided where is_sent
            """,
            values,
        )
    connection.execute(
        """
        insert into outbox.message (
            id, run_id, campaign, contact_id, episode_on, step, step_days, as_of, due_on, mode, channels, template_hash,
            merge_fields, coupon_grant_id, consent, definition_hash, not_before, not_after, state, planned_at,
            accepted_at, accepted_channel, closed_at
        )
        select message_id, run_id, 'winback', contact_id, episode_on, %(step)s, %(days)s, as_of, as_of, 'live',
            '{email}', %(template)s, '{"days_away": "30", "last_purchase_on": "September 1"}',
            case when %(promotion)s::text is not null then grant_id end, '{"email": {"source": "checkout"}}',
            %(definition)s, clock + interval '5 hours', clock + interval '3 days', 'accepted', clock,
            clock + interval '5 hours', 'email', clock + interval '5 hours'
        from decided where is_sent
        """,
        values,
    )
    connection.execute("drop table decided")


def accept(connection: psycopg.Connection, as_of: date) -> int:
    """The day's planned messages are accepted, as the dispatcher would have left them; returns how many."""
    accepted = 0
    for state, more in (
        ("sending", ""),
        ("accepted", ", accepted_at = not_before, accepted_channel = channels[1], closed_at = not_before"),
    ):
        accepted = connection.execute(
            f"update outbox.message set state = '{state}'{more}"
            " where as_of = %s and state = any(array['planned', 'sending'])",
            [as_of],
        ).rowcount
    connection.execute("analyze outbox.message")
    return accepted


def _definitions(connection: psycopg.Connection) -> tuple[dict[str, str], str]:
    """Stores the campaign files as `winback build` does; hash by campaign (`bundle`: of all), and a template's hash."""
    from campaigns import definition
    from outbox import runs
    from outbox.sql import ledger
    from warehouse import settings

    bundle = definition.load_all(settings.read().campaigns)
    with ledger() as desk:
        runs.register(desk, bundle)
    hashes = {name: campaign.hash for name, campaign in bundle.campaigns.items()}
    return {**hashes, "bundle": bundle.hash}, next(iter(bundle.templates.values())).template_hash


def first_day(days: int) -> date:
    """The first day whose cohort of 30 days the history can know."""
    return LAST_DAY - timedelta(days=days - 30)
