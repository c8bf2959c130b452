"""Wishes that land in another order than they were said in, some of them long after newer ones were folded."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.handoff_stub import Shop
from tests.integration.test_outbox_outcomes import LATER, accepted, active, event, fold

PAST = timedelta(hours=2)
"""Stored so long ago that a fold which goes by the watermark does not meet it again."""


def wish(shop: Shop, message_id: uuid.UUID | None, kind: str, hours: float, *, stored: bool = False, **of: Any) -> None:
    """A wish, so many hours after `LATER`; `stored`: before the window of the next fold."""
    if stored:
        of["stored_at"] = datetime.now(UTC) - PAST
    event(shop, "preference", message_id, kind, occurred_at=LATER + timedelta(hours=hours), **{"source": "x", **of})


def folded_before(shop: Shop, message_id: uuid.UUID | None, **of: Any) -> None:
    """A new subscription at hour 1, folded, and out of the next fold's sight."""
    wish(shop, message_id, "resubscribed", 1, stored=True, **of)
    assert fold() == (0, 0)


def test_a_no_that_lands_late_takes_back_no_newer_yes(shop: Shop) -> None:
    message_id = accepted(shop)
    folded_before(shop, message_id)
    wish(shop, message_id, "unsubscribed", 0)
    assert fold() == (0, 0)
    assert active(shop) == []


def test_a_no_that_was_said_after_the_yes_counts(shop: Shop) -> None:
    message_id = accepted(shop)
    folded_before(shop, message_id)
    wish(shop, message_id, "unsubscribed", 2)
    assert fold() == (1, 0)
    wish(shop, message_id, "unsubscribed", 0)
    assert fold() == (0, 0)
    assert len(active(shop)) == 1


def test_a_yes_from_another_of_the_persons_messages_counts(shop: Shop) -> None:
    contact = shop.contact()
    first = accepted(shop, contact)
    folded_before(shop, shop.planned(contact, step="day60"))
    event(shop, "engagement_event", first, "unsubscribed")
    assert fold() == (0, 0)


def test_a_yes_of_somebody_else_or_another_channel_counts_for_nobody(shop: Shop) -> None:
    message_id, other = accepted(shop), accepted(shop, shop.contact(email="other@example.com"))
    folded_before(shop, other)
    folded_before(shop, message_id, channel="sms")
    wish(shop, message_id, "unsubscribed", 0)
    assert fold() == (1, 0)


@pytest.mark.parametrize("by_message", [False, True])
def test_a_text_that_lands_late_takes_back_no_newer_yes_of_its_number(shop: Shop, by_message: bool) -> None:
    message_id = accepted(shop)
    hashed = shop.value("select address_hash from outbox.attempt where message_id = %s", message_id)
    if by_message:
        folded_before(shop, message_id)
    else:
        folded_before(shop, None, address_hash=hashed)
    wish(shop, None, "unsubscribed", 0, address_hash=hashed)
    assert fold() == (0, 0)


def test_a_number_that_said_start_lifts_what_a_message_to_it_said_before(shop: Shop) -> None:
    message_id = accepted(shop)
    hashed = shop.value("select address_hash from outbox.attempt where message_id = %s", message_id)
    folded_before(shop, None, address_hash=hashed)
    event(shop, "delivery_event", message_id, "failed", address_fault="stopped")
    assert fold() == (0, 0)


def test_a_pause_that_lands_late_takes_back_no_newer_yes(shop: Shop) -> None:
    message_id = accepted(shop)
    folded_before(shop, message_id)
    wish(shop, message_id, "paused", 0, until=LATER + timedelta(days=7))
    assert fold() == (0, 0)


def test_a_complaint_is_taken_back_by_no_yes(shop: Shop) -> None:
    message_id = accepted(shop)
    folded_before(shop, message_id)
    event(shop, "engagement_event", message_id, "complained")
    assert fold() == (1, 0)
