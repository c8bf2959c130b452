"""Webhooks that landed in the warehouse by other means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from cli.dispatch import fold_landed
from events import intake
from events.app import create_app
from events.intake import Folded, fold_provider_events
from outbox.sql import ledger
from tests.integration.events_service import CONNECTIONS, MESSAGE, item, rows, sendgrid, serving
from warehouse.connect import Role, connect

LANDED = datetime(2017, 10, 1, 6, 0, tzinfo=UTC)


def land(url: str, provider: str, body: str, *, headers: dict[str, Any] | None = None, at: datetime = LANDED) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into raw.provider_events (provider, received_at, headers, body) values (%s, %s, %s, %s)",
            [provider, at, json.dumps(headers or {}), body],
        )


def fold(since: datetime = LANDED) -> Folded:
    with connect(Role.SENDER) as connection:
        return fold_provider_events(connection, since)


def test_landed_events_go_through_the_same_parsers(warehouse: str) -> None:
    land(warehouse, "sendgrid", json.dumps([item("delivered", "a"), item("click", "b", url="https://x.example.com")]))
    land(warehouse, "sendgrid", json.dumps(item("spamreport", "c")))
    form = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "delivered"}
    url = f"https://events.example.com/events/twilio?message_id={MESSAGE}"
    land(warehouse, "twilio", urlencode(form), headers={"url": url})
    assert fold() == Folded(calls=3, events=5, unreadable=0, latest=LANDED)
    assert rows(warehouse, "select provider, message_id, kind from events.delivery_event order by provider") == [
        ("sendgrid", MESSAGE, "delivered"),
        ("twilio", MESSAGE, "delivered"),
    ]
    assert rows(warehouse, "select count(*) from events.preference where source = 'complaint'") == [(1,)]


def test_folding_again_and_the_endpoint_add_nothing(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item("delivered", "a"), item("open", "b")]
    land(warehouse, "sendgrid", json.dumps(items))
    for name, document in CONNECTIONS.items():
        monkeypatch.setenv(name, json.dumps(document))
    fold()
    fold()
    with serving(create_app()) as client:
        assert sendgrid(client, items) == 200
    assert rows(warehouse, "select count(*) from events.delivery_event") == [(1,)]
    assert rows(warehouse, "select count(*) from events.engagement_event") == [(1,)]


def test_what_was_folded_before_is_not_read_again(warehouse: str) -> None:
    land(warehouse, "sendgrid", json.dumps([item("delivered", "a")]))
    land(warehouse, "sendgrid", json.dumps([item("delivered", "b")]), at=LANDED + timedelta(hours=1))
    assert fold(LANDED + timedelta(minutes=1)) == Folded(1, 1, 0, LANDED + timedelta(hours=1))


def test_a_row_that_cannot_be_read_is_kept_and_hinders_no_other(warehouse: str) -> None:
    for provider, body in (("sendgrid", "{nonsense"), ("pigeon", "[]"), ("twilio", "To=%2B1"), ("sendgrid", "")):
        land(warehouse, provider, body)
    land(warehouse, "sendgrid", json.dumps([item("delivered", "a")]))
    assert fold() == Folded(calls=5, events=1, unreadable=4, latest=LANDED)
    fold()
    kept = rows(warehouse, "select provider, verdict, reason from events.webhook_call order by provider")
    assert [row[0] for row in kept] == ["pigeon", "sendgrid", "sendgrid", "twilio"]
    assert {row[1] for row in kept} == {"malformed"}
    assert all(row[2] for row in kept)


def fold_as_dispatch_does() -> None:
    with ledger() as desk:
        fold_landed(desk)


def test_what_lands_late_is_read_however_long_ago_it_was_received(warehouse: str) -> None:
    land(warehouse, "sendgrid", json.dumps([item("delivered", "a")]))
    fold_as_dispatch_does()
    land(warehouse, "sendgrid", json.dumps([item("delivered", "b")]), at=LANDED - timedelta(days=9))
    land(warehouse, "sendgrid", json.dumps([item("delivered", "c")]), at=LANDED - timedelta(hours=1))
    fold_as_dispatch_does()
    assert rows(warehouse, "select count(*) from events.delivery_event") == [(3,)]


def test_a_day_in_which_nothing_landed_since_is_not_read_again(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (0, 1, 2):
        land(warehouse, "sendgrid", json.dumps([item("delivered", f"d{days}")]), at=LANDED - timedelta(days=days))
    fold_as_dispatch_does()
    land(warehouse, "sendgrid", json.dumps([item("delivered", "late")]), at=LANDED - timedelta(days=1))
    read: list[Any] = []
    real = intake.fold_provider_events
    monkeypatch.setattr(intake, "fold_provider_events", lambda *a, **k: read.append(a[1].date()) or real(*a, **k))
    fold_as_dispatch_does()
    fold_as_dispatch_does()
    assert read == [(LANDED - timedelta(days=1)).date()]
    assert rows(warehouse, "select count(*) from events.delivery_event") == [(4,)]
