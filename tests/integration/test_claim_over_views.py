"""The claim over the views that dbt builds: what was said, bought or changed after the decision stops a message.

Each case changes something, claims and is rolled back: the day is built once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from outbox import claims, outcomes, runs
from outbox.claims import Rules, Shard
from outbox.outcomes import Told
from tests.integration.dbt_days import at, database
from tests.integration.handoff_day import HAWAII, decided
from tests.integration.outbound import ACCEPT
from warehouse.clock import SIMULATED
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

NOW = at("2017-10-01", "08:30", HAWAII)
"""Late enough for everybody, and within the hours of texts."""
EARLIER = at("2017-10-01", "07:00")
BOUGHT = (
    "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
    " values ('again', %(contact)s, %(earlier)s, 'completed', 20, 'USD', %(earlier)s)"
)
UNSUBSCRIBED = (
    "insert into events.preference (event_key, message_id, channel, kind, source, occurred_at, received_at)"
    " select 'no', id, 'email', 'unsubscribed', 'one_click', %(earlier)s, %(earlier)s"
    " from outbox.message where contact_id = %(contact)s"
)
STOPPED = (
    "insert into events.preference (event_key, address_hash, channel, kind, source, occurred_at, received_at)"
    " select 'stop', phone_hash, 'sms', 'unsubscribed', 'sms_keyword', %(earlier)s, %(earlier)s"
    " from handoff.recipients where contact_id = %(contact)s"
)
WITHDRAWN = "update raw.contacts set consent_email = false where contact_id = %(contact)s"
SUPPRESSED = (
    "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)"
    " select 'email', email_hash, 'operator', 'care', %(earlier)s"
    " from handoff.recipients where contact_id = %(contact)s"
)
RELOADING = "delete from raw.contacts where contact_id = %(contact)s"
SAME_INBOX = (
    "update raw.contacts set email = (select email from raw.contacts where contact_id = 'here')"
    " where contact_id = %(contact)s"
)


@pytest.fixture(scope="module")
def handoff(postgres: str, template_database: str) -> Iterator[dict[str, Any]]:
    with database(postgres, template_database), connect(Role.OWNER) as connection:
        connection.autocommit = True
        yield decided(connection)


def claimed(contact: str, *changes: str, accepts: bool = False) -> tuple[str, str | None, str]:
    """State, reason and channel of the contact's message once everything due was claimed after `changes`; `accepts`:
    and again two hours later, when what was claimed had been accepted."""
    with connect(Role.OWNER) as connection:
        for change in changes:
            connection.execute(change, {"contact": contact, "earlier": EARLIER})
        connection.execute("set local role winback_sender")
        told = [Told(each, 1, ACCEPT) for each in claim_all(connection, NOW)]
        if accepts:
            outcomes.record(connection, told, clock=NOW)
            claim_all(connection, NOW + timedelta(hours=2))
        row = connection.execute(
            "select state, reason, channels[channel_no] from outbox.message where contact_id = %s", [contact]
        ).fetchone()
        connection.rollback()
    assert row is not None
    return row


def claim_all(connection: psycopg.Connection, now: datetime) -> list[uuid.UUID]:
    """Claims until nothing is due; the messages whose attempts were opened."""
    opened: list[uuid.UUID] = []
    picked = True
    while picked:
        picked = False
        for group in claims.due_groups(connection, clock=now, mode=SIMULATED, shard=Shard()):
            rules = Rules.of(runs.definition(connection, group.definition_hash))
            claim = claims.claim(
                connection, group, rules, clock=now, mode=SIMULATED, shard=Shard(), worker="test", size=100
            )
            opened += [each.message_id for each in claim.opened]
            picked = picked or claim.picked > 0
    return opened


@pytest.mark.parametrize(("contact", "channel"), [("far", "email"), ("texted", "sms")])
def test_who_said_and_did_nothing_since_is_claimed(handoff: dict[str, Any], contact: str, channel: str) -> None:
    assert claimed(contact) == ("sending", None, channel)


@pytest.mark.parametrize(
    ("contact", "change", "found"),
    [
        ("far", BOUGHT, ("skipped", "purchased_since", "email")),
        ("far", UNSUBSCRIBED, ("skipped", "suppressed", "email")),
        ("far", WITHDRAWN, ("skipped", "no_email_consent", "email")),
        ("far", SUPPRESSED, ("skipped", "suppressed", "email")),
        ("texted", STOPPED, ("sending", None, "email")),
        ("texted", UNSUBSCRIBED, ("skipped", "suppressed", "sms")),
    ],
)
def test_what_happened_after_the_decision_stops_the_message(
    handoff: dict[str, Any], contact: str, change: str, found: tuple[str, str | None, str]
) -> None:
    assert claimed(contact, change) == found


def test_who_came_to_share_an_inbox_does_not_get_there_what_it_was_sent(handoff: dict[str, Any]) -> None:
    assert claimed("here", SAME_INBOX.replace("%(contact)s", "'far'"))[0] == "sending"
    assert claimed("far", SAME_INBOX) == ("planned", "already_messaged", "email"), "the other one may yet be refused"
    assert claimed("far", SAME_INBOX, accepts=True) == ("skipped", "already_messaged", "email")


def test_who_is_not_among_the_contacts_while_they_are_loaded_anew_waits(handoff: dict[str, Any]) -> None:
    assert claimed("far", RELOADING) == ("planned", "invalid_address", "email")
    assert claimed("far", RELOADING, BOUGHT) == ("skipped", "purchased_since", "email")
