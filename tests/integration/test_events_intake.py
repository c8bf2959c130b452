"""Webhooks that landed in the warehouse by other means."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode

import psycopg
import pytest
from typer.testing import CliRunner

from cli import dispatch as verb
from cli.dispatch import fold_landed
from cli.main import register
from events import intake
from events.app import create_app
from events.intake import Folded, fold_provider_events
from events.store import Store
from outbox import landed
from outbox.sql import ledger
from senders.sendgrid import events as sendgrid_events
from tests.integration.events_service import CONNECTIONS, MESSAGE, item, rows, sendgrid, serving
from warehouse import connections
from warehouse.connect import Role, connect

LANDED = datetime(2017, 10, 1, 6, 0, tzinfo=UTC)


def land(url: str, provider: str, body: str, *, headers: Any = None, at: datetime | str = LANDED) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into raw.provider_events (provider, received_at, headers, body) values (%s, %s, %s, %s)",
            [provider, at, json.dumps(headers or {}), body],
        )


def fold(since: datetime = LANDED) -> Folded:
    with connect(Role.SENDER) as connection:
        return fold_provider_events(connection, since)


def test_landed_events_go_through_the_same_parsers(environment: str) -> None:
    land(environment, "sendgrid", json.dumps([item("delivered", "a"), item("click", "b", url="https://x.example.com")]))
    land(environment, "sendgrid", json.dumps(item("spamreport", "c")))
    form = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "delivered"}
    url = f"https://events.example.com/events/twilio?message_id={MESSAGE}"
    land(environment, "twilio", urlencode(form), headers={"url": url})
    assert fold() == Folded(calls=3, events=5, unreadable=0, latest=LANDED)
    assert rows(environment, "select provider, message_id, kind from events.delivery_event order by provider") == [
        ("sendgrid", MESSAGE, "delivered"),
        ("twilio", MESSAGE, "delivered"),
    ]
    assert rows(environment, "select count(*) from events.preference where source = 'complaint'") == [(1,)]


def test_folding_again_and_the_endpoint_add_nothing(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item("delivered", "a"), item("open", "b")]
    land(environment, "sendgrid", json.dumps(items))
    for name, document in CONNECTIONS.items():
        monkeypatch.setenv(name, json.dumps(document))
    fold()
    fold()
    with serving(create_app()) as client:
        assert sendgrid(client, items) == 200
    assert rows(environment, "select count(*) from events.delivery_event") == [(1,)]
    assert rows(environment, "select count(*) from events.engagement_event") == [(1,)]


def test_what_was_folded_before_is_not_read_again(environment: str) -> None:
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    land(environment, "sendgrid", json.dumps([item("delivered", "b")]), at=LANDED + timedelta(hours=1))
    assert fold(LANDED + timedelta(minutes=1)) == Folded(1, 1, 0, LANDED + timedelta(hours=1))


def test_a_row_that_cannot_be_read_is_kept_and_hinders_no_other(environment: str) -> None:
    for provider, body in (("sendgrid", "{nonsense"), ("pigeon", "[]"), ("twilio", "To=%2B1"), ("sendgrid", "")):
        land(environment, provider, body)
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    assert fold() == Folded(calls=5, events=1, unreadable=4, latest=LANDED)
    fold()
    kept = rows(environment, "select provider, verdict, reason from events.webhook_call order by provider")
    assert [row[0] for row in kept] == ["pigeon", "sendgrid", "sendgrid", "twilio"]
    assert {row[1] for row in kept} == {"malformed"}
    assert all(row[2] for row in kept)


def test_a_row_over_which_the_parser_stumbles_is_kept_and_ends_no_dispatch(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(_: Any) -> Any:
        raise AttributeError("ann@example.com")

    monkeypatch.setitem(cast("dict[str, Any]", intake.PARSERS), "twilio", stumble)
    land(environment, "twilio", "MessageSid=SM1")
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    fold_as_dispatch_does()
    assert delivered(environment) == 1
    assert rows(environment, "select verdict, reason from events.webhook_call") == [
        ("malformed", "A row of raw.provider_events cannot be read: the parser stumbled over it (AttributeError).")
    ]


def test_a_row_whose_values_the_database_refuses_is_kept_and_hinders_no_other_of_its_batch(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast("dict[str, Any]", sendgrid_events.DELIVERIES), "delivered", "a kind of its own")
    land(environment, "sendgrid", json.dumps([item("delivered", "a"), item("processed", "b")]))
    land(environment, "sendgrid", json.dumps([item("processed", "c")]))
    assert fold() == Folded(calls=2, events=1, unreadable=1, latest=LANDED)
    assert rows(environment, "select event_key from events.delivery_event") == [("sendgrid:c",)]
    ((verdict, reason),) = rows(environment, "select verdict, reason from events.webhook_call")
    assert verdict == "malformed"
    assert "the database refuses a value of it (CheckViolation)" in reason


def test_a_row_with_a_key_that_no_index_takes_ends_no_dispatch(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = "".join(hashlib.sha512(b"%d" % number).hexdigest() for number in range(100))
    land(environment, "twilio", urlencode({"MessageSid": f"SM{noise}", "MessageStatus": "delivered"}))
    monkeypatch.setattr(sendgrid_events, "_key", lambda one: f"{noise if one['sg_event_id'] == 'a' else 'b'}")
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    land(environment, "sendgrid", json.dumps([item("delivered", "b")]))
    fold_as_dispatch_does()
    assert rows(environment, "select event_key from events.delivery_event") == [("b",)]
    found = rows(environment, "select provider, reason from events.webhook_call order by provider desc")
    assert [provider for provider, _ in found] == ["twilio", "sendgrid"]
    assert "MessageSid, two letters and 32 digits, was expected" in found[0][1]
    assert "the database refuses a value of it (ProgramLimitExceeded)" in found[1][1]


def test_the_events_of_many_rows_go_into_one_statement(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [item(name, f"{name}{number}") for number in range(40) for name in ("delivered", "open")]
    for number in range(0, len(many), 10):
        land(environment, "sendgrid", json.dumps(many[number : number + 10]))
    land(environment, "sendgrid", json.dumps(many[:3]))
    sizes: list[int] = []
    real = Store.add
    monkeypatch.setattr(Store, "add", lambda store, calls: (sizes.append(len(calls)), real(store, calls))[1])
    monkeypatch.setattr(intake, "EVENTS_AT_ONCE", 50)
    assert fold() == Folded(calls=9, events=83, unreadable=0, latest=LANDED)
    assert sizes == [5, 4]
    assert rows(environment, "select count(*), count(distinct call_id) from events.delivery_event") == [(40, 8)]


def fold_as_dispatch_does(clock: datetime = LANDED) -> None:
    with ledger() as desk:
        fold_landed(desk, clock)


def delivered(url: str) -> int:
    ((count,),) = rows(url, "select count(*) from events.delivery_event")
    return int(count)


def counted_yesterday(url: str) -> None:
    """As if the look that counted every day had been yesterday's."""
    with psycopg.connect(url) as owner:
        owner.execute("set session_replication_role = replica")
        owner.execute("update outbox.watermark set at = at - interval '25 hours' where name = 'landed'")


def test_what_lands_late_is_read_however_long_ago_it_was_received(environment: str) -> None:
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    fold_as_dispatch_does()
    land(environment, "sendgrid", json.dumps([item("delivered", "b")]), at=LANDED - timedelta(days=9))
    land(environment, "sendgrid", json.dumps([item("delivered", "c")]), at=LANDED - timedelta(hours=1))
    fold_as_dispatch_does()
    assert rows(environment, "select count(*) from events.delivery_event") == [(3,)]


def test_a_day_in_which_nothing_landed_since_is_not_read_again(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in (0, 1, 2):
        land(environment, "sendgrid", json.dumps([item("delivered", f"d{days}")]), at=LANDED - timedelta(days=days))
    fold_as_dispatch_does()
    land(environment, "sendgrid", json.dumps([item("delivered", "late")]), at=LANDED - timedelta(days=1))
    read: list[Any] = []
    real = intake.fold_provider_events
    monkeypatch.setattr(intake, "fold_provider_events", lambda *a, **k: read.append(a[1].date()) or real(*a, **k))
    fold_as_dispatch_does()
    fold_as_dispatch_does()
    assert read == [(LANDED - timedelta(days=1)).date()]
    assert rows(environment, "select count(*) from events.delivery_event") == [(4,)]


@pytest.mark.parametrize("headers", ["null", "[1]", '"text"', "7"])
def test_headers_that_are_no_object_are_read_as_none(environment: str, headers: str) -> None:
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]), headers=json.loads(headers))
    with psycopg.connect(environment) as connection:
        connection.execute("update raw.provider_events set headers = %s::jsonb", [headers])
    assert fold() == Folded(calls=1, events=1, unreadable=0, latest=LANDED)


def test_headers_that_are_missing_are_read_as_none(environment: str) -> None:
    with psycopg.connect(environment) as connection:
        connection.execute("alter table raw.provider_events alter column headers drop not null")
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    with psycopg.connect(environment) as connection:
        connection.execute("update raw.provider_events set headers = null")
    assert fold().events == 1


@pytest.mark.parametrize("at", ["infinity", "-infinity", "12017-10-01 06:00:00+00", "0044-03-15 06:00:00+00 BC"])
def test_a_row_with_an_impossible_time_is_kept_and_ends_no_dispatch(environment: str, at: str) -> None:
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]), at=at)
    land(environment, "sendgrid", json.dumps([item("delivered", "b")]))
    fold_as_dispatch_does()
    fold_as_dispatch_does()
    assert delivered(environment) == 1
    ((verdict, reason),) = rows(environment, "select verdict, reason from events.webhook_call")
    assert verdict == "malformed"
    assert f"its received_at is {at}" in reason
    assert rows(environment, "select calls from outbox.landed_day order by day desc limit 1") == [(1,)]


def test_a_row_with_an_impossible_time_hinders_no_other_of_a_span(environment: str) -> None:
    land(environment, "sendgrid", "[]", at="infinity")
    land(environment, "sendgrid", json.dumps([item("delivered", "b")]))
    assert fold() == Folded(calls=2, events=1, unreadable=1, latest=LANDED)


@pytest.mark.parametrize("at", ["2099-01-01 00:00+00", "infinity"])
def test_a_row_from_the_future_puts_no_real_day_out_of_sight(environment: str, at: str) -> None:
    land(environment, "sendgrid", json.dumps([item("open", "far")]), at=at)
    fold_as_dispatch_does()
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    fold_as_dispatch_does()
    assert delivered(environment) == 1


def test_the_first_look_reads_everything_and_later_ones_go_back_sixty_days(
    environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "winback.dispatch")
    fold_as_dispatch_does()  # an empty table is no first look: the bulk load of a go-live comes later
    land(environment, "sendgrid", json.dumps([item("delivered", "old")]), at=LANDED - timedelta(days=400))
    land(environment, "sendgrid", json.dumps([item("delivered", "new")]))
    fold_as_dispatch_does()
    assert delivered(environment) == 2
    assert "more than 60 days behind the newest row, which were new or had changed: 1 row(s)" in caplog.text
    caplog.clear()
    land(environment, "sendgrid", json.dumps([item("delivered", "late")]), at=LANDED - timedelta(days=61))
    land(environment, "sendgrid", json.dumps([item("delivered", "on it")]), at=LANDED - timedelta(days=60))
    fold_as_dispatch_does()
    assert delivered(environment) == 3
    counted_yesterday(environment)
    fold_as_dispatch_does()
    assert delivered(environment) == 4
    assert "more than 60 days behind the newest row, which were new or had changed: 1 row(s)" in caplog.text


def test_who_meets_another_reader_waits_for_it_before_anything_is_sent(environment: str) -> None:
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    with ledger() as other, ThreadPoolExecutor() as pool:
        with landed.in_turn(other) as mine:
            assert mine
            waiting = pool.submit(fold_as_dispatch_does)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            assert delivered(environment) == 0
        waiting.result(timeout=60)
    assert delivered(environment) == 1


def test_a_reader_that_was_stopped_keeps_no_opt_out_from_the_others(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landed, "PATIENCE", timedelta())
    land(environment, "sendgrid", json.dumps([item("delivered", "a")]))
    with ledger() as stopped, landed.in_turn(stopped):
        fold_as_dispatch_does()
    assert delivered(environment) == 1


def test_a_reading_that_is_told_to_stop_is_taken_up_by_the_next(environment: str) -> None:
    for days in (0, 1, 2):
        land(environment, "sendgrid", json.dumps([item("delivered", f"d{days}")]), at=LANDED - timedelta(days=days))
    asked = iter((False, False, True, True, True))
    with ledger() as desk:
        fold_landed(desk, LANDED, stopping=lambda: next(asked))
    assert delivered(environment) == 1
    fold_as_dispatch_does()
    assert delivered(environment) == 3


def test_sigterm_is_heard_while_what_landed_is_read(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    heard: list[bool] = []

    def read(desk: Any, clock: Any, *, stopping: Callable[[], bool]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        heard.append(stopping())

    for conn_id in (*connections.SENDERS, connections.ALERTS):  # sandboxes that nobody starts
        document = {"host": "http://127.0.0.1:9", "login": "AC1", "password": "x", "extra": {"sandbox": True}}
        monkeypatch.setenv(connections.variable(conn_id), json.dumps(document))
    monkeypatch.setattr(verb, "fold_landed", read)
    monkeypatch.setattr(verb, "look_up_doubtful", lambda *_: pytest.fail("it went on"))
    signal.signal(signal.SIGTERM, lambda *_: heard.append(False))
    try:
        result = CliRunner().invoke(register(), ["dispatch"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (heard, result.exit_code) == ([True], verb.STOPPED), result.output
