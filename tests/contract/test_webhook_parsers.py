"""Webhooks read: each case is two files, `<case>.json` as the provider documents it and its `<case>.expected.json`."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from senders.contract import DeliveryEvent, Event, Unreadable, Verdict, WebhookCall
from senders.sendgrid import events as sendgrid
from senders.twilio import events as twilio
from warehouse.connections import Connection

FOLDER = Path(__file__).parent / "webhooks"
RECEIVED = datetime(2017, 10, 1, 14, 30, tzinfo=UTC)
CASES = sorted(path for path in FOLDER.glob("*/*.json") if not path.name.endswith(".expected.json"))


def parse(path: Path) -> list[Event]:
    """The events of a case, read by the vendor in whose folder it lies."""
    events: list[Event] = importlib.import_module(f"senders.{path.parent.name}.events").parse(
        call_of(json.loads(path.read_text()))
    )
    return events


def call_of(case: dict[str, Any]) -> WebhookCall:
    body = urlencode(case["form"]) if "form" in case else json.dumps(case["body"])
    return WebhookCall({}, body.encode(), case["url"], RECEIVED, RECEIVED)


def shown(event: Event) -> dict[str, Any]:
    values = {name: found for name, found in asdict(event).items() if found is not None}
    return {"type": type(event).__name__, **json.loads(json.dumps(values, default=str))}


@pytest.mark.parametrize("path", CASES, ids=[f"{path.parent.name}/{path.stem}" for path in CASES])
def test_a_webhook_is_read_as_expected(path: Path) -> None:
    events = parse(path)
    expected = json.loads(path.with_suffix(".expected.json").read_text())
    assert [shown(event) for event in events] == expected


@pytest.mark.parametrize("path", CASES, ids=[f"{path.parent.name}/{path.stem}" for path in CASES])
def test_no_event_shows_an_address(path: Path) -> None:
    events = parse(path)
    assert "ann@" not in repr(events)
    assert "2025550101" not in repr(events)


def test_every_case_has_its_expectation_and_every_expectation_its_case() -> None:
    expected = {path.with_name(path.name.replace(".expected", "")) for path in FOLDER.glob("*/*.expected.json")}
    assert expected == set(CASES)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'"x"', b"null", b"\xff\xfe", b"[1", b"1"])
def test_a_body_that_is_no_array_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        sendgrid.parse(WebhookCall({}, body, "https://events.example.com", RECEIVED, RECEIVED))


def test_the_secret_of_an_api_key_signs_nothing_and_is_not_taken_for_the_accounts_token() -> None:
    key = Connection("twilio_default", login="SK" + "1" * 32, password="the key's secret")
    call = WebhookCall(
        {"x-twilio-signature": "any"}, b"", "https://events.example.com/events/twilio", RECEIVED, RECEIVED
    )
    assert not twilio.is_ready(key)
    assert twilio.verify(call, key) is Verdict.UNVERIFIABLE
    assert twilio.is_ready(replace(key, extra={"webhook_secret": "the account's token"}))
    assert twilio.is_ready(replace(key, login="AC" + "0" * 32))


@pytest.mark.parametrize("body", [b"", b"\xff", b"a", b"From=%2B12025550101", b"[]"])
def test_a_form_without_a_message_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        twilio.parse(WebhookCall({}, body, "https://events.example.com", RECEIVED, RECEIVED))


@pytest.mark.parametrize(
    "form",
    [
        {"MessageSid": "SM" + "a" * 4_000, "MessageStatus": "sent"},
        {"MessageSid": "SM1", "MessageStatus": "sent"},
        {"SmsSid": "+12025550101", "Body": "STOP"},
        {"MessageSid": "SM" + "a" * 32, "MessageStatus": "s" * 4_000},
        {"MessageSid": "SM" + "a" * 32, "MessageStatus": "ann@example.com"},
        {"MessageSid": "SM" + "a" * 32, "MessageStatus": ""},
    ],
)
def test_a_sid_or_a_status_that_looks_like_none_is_unreadable(form: dict[str, str]) -> None:
    with pytest.raises(Unreadable) as refused:
        twilio.parse(call_of({"url": "u", "form": form}))
    assert "2025550101" not in str(refused.value)
    assert "ann@" not in str(refused.value)


def test_what_stands_in_an_error_codes_place_is_kept_short_and_without_addresses() -> None:
    form = {"MessageSid": "SM" + "a" * 32, "MessageStatus": "failed", "ErrorCode": "+12025550101 " + "x" * 4_000}
    (event,) = twilio.parse(call_of({"url": "u", "form": form}))
    assert isinstance(event, DeliveryEvent)
    assert event.code == "… " + "x" * 58


def test_the_same_event_has_the_same_key_in_another_batch() -> None:
    item = {"event": "delivered", "timestamp": 1513299569, "email": "ann@example.com"}
    keys = [
        sendgrid.parse(call_of({"url": "u", "body": body}))[0].event_key
        for body in ([item], [dict(reversed(item.items())), {"event": "open"}])
    ]
    assert keys[0] == keys[1]
