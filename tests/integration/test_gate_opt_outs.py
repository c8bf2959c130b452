"""The gate's second look at who said no: wherever they said it, unless they took it back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.gate_day import CLOCK, LONG_AGO, Built, broken
from tests.integration.test_gate_rules import opted_out, suppressed


def heard(it: Built, key: str, kind: str, **changes: object) -> None:
    """What a person said of texts, a day after they opted out."""
    at = LONG_AGO + timedelta(days=1)
    row = {
        "event_key": key, "channel": "sms", "kind": kind, "source": "preference_page", "occurred_at": at,
        "received_at": at, **changes,
    }  # fmt: skip
    it.insert("events.preference", **row)


def one_person(it: Built) -> None:
    """`texted` and `other` share an e-mail; `other` has a phone of their own."""
    it.contact("other", email="texted@example.com")
    for contact_id in ("texted", "other"):
        it.insert("customers.int_person_members", contact_id="texted", member_contact_id=contact_id)


def phone_hash(it: Built, contact_id: str) -> object:
    query = "select outbox.address_hash('sms', phone) from raw.contacts where contact_id = %s"
    row = it.owner.execute(query, [contact_id]).fetchone()
    assert row
    return row[0]


@pytest.mark.parametrize("how", ["message", "message of another contact", "address", "address of another contact"])
def test_an_opt_out_that_was_taken_back_counts_no_more(built: Built, how: str) -> None:
    one_person(built)
    opted_out(built)
    assert "nobody_opted_out" in broken(built)
    contact_id = "other" if "another" in how else "texted"
    heard(built, "earlier", "resubscribed", message_id=built.said(contact_id, "day30", 600), occurred_at=LONG_AGO
          - timedelta(days=1))  # fmt: skip
    heard(built, "mail", "resubscribed", message_id=built.said(contact_id, "day30", 700), channel="email")
    assert "nobody_opted_out" in broken(built)
    if how.startswith("message"):
        heard(built, "yes", "resubscribed", message_id=built.said(contact_id, "day30", 500))
    else:
        heard(built, "yes", "resubscribed", source="sms_keyword", address_hash=phone_hash(built, contact_id))
    assert "nobody_opted_out" not in broken(built)


def test_of_several_pauses_the_last_one_counts(built: Built) -> None:
    message_id = built.said("texted", "day30", 400)
    heard(built, "long", "paused", message_id=message_id, until=CLOCK + timedelta(days=5))
    assert "nobody_opted_out" in broken(built)
    later = CLOCK - timedelta(days=40)
    heard(built, "short", "paused", message_id=message_id, until=CLOCK - timedelta(days=10), occurred_at=later)
    assert "nobody_opted_out" not in broken(built)
    heard(built, "no end", "paused", message_id=message_id, occurred_at=later + timedelta(days=1))
    assert "nobody_opted_out" in broken(built)


def test_what_is_said_at_the_clock_or_later_is_left_to_the_claim(built: Built) -> None:
    message_id = built.said("texted", "day30", 400)
    heard(built, "no", "unsubscribed", message_id=message_id, occurred_at=CLOCK)
    suppressed(built, CLOCK)
    assert not {"nobody_opted_out", "nobody_suppressed"} & broken(built)


@pytest.mark.parametrize("how", ["message of another contact", "address", "address of another contact"])
def test_a_no_counts_wherever_the_person_said_it(built: Built, how: str) -> None:
    one_person(built)
    assert "nobody_opted_out" not in broken(built)
    contact_id = "other" if "another" in how else "texted"
    if how.startswith("message"):
        heard(built, "no", "unsubscribed", message_id=built.said(contact_id, "day30", 500))
    else:
        heard(built, "no", "unsubscribed", source="sms_keyword", address_hash=phone_hash(built, contact_id))
    assert "nobody_opted_out" in broken(built)
