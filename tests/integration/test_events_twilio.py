"""The webhook service and Twilio: statuses of texts, and what people answer to them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest

from events.app import create_app
from events.intake import fold_provider_events
from senders import registry
from tests.integration.events_service import (
    CALLBACK,
    CALLS,
    CONNECTIONS,
    DELIVERED,
    DELIVERIES,
    MESSAGE,
    PREFERENCES,
    PUBLIC,
    SID,
    STOP,
    rows,
    serving,
    twilio,
    verdicts,
)
from warehouse import connections
from warehouse.connect import Role, connect


def test_a_twilio_call_for_another_message_has_another_signature(client: httpx.Client, environment: str) -> None:
    answer = twilio(client, CALLBACK, DELIVERED)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert "<Response></Response>" in answer.text
    assert rows(environment, DELIVERIES) == [(f"twilio:{SID}:delivered", MESSAGE, "delivered")]
    signature = answer.request.headers["X-Twilio-Signature"]
    other = CALLBACK.replace(str(MESSAGE), str(uuid.uuid4()))
    assert client.post(other, data=DELIVERED, headers={"X-Twilio-Signature": signature}).status_code == 403


@pytest.mark.parametrize(
    "address", [f"{PUBLIC}/events/twilio", "https://hooks.example.com", "https://me:secret@h.example.com/x"]
)
def test_a_call_can_be_read_again_from_what_is_kept_of_it(
    environment: str, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Its events may be missing: the service died after the row, say. Our id is in the address alone."""
    connection = dict(CONNECTIONS["AIRFLOW_CONN_TWILIO_DEFAULT"], extra={"webhook_url": address})
    monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", json.dumps(connection))
    with serving(create_app()) as client:
        told = f"{address}?{CALLBACK.partition('?')[2]}"
        assert twilio(client, CALLBACK, DELIVERED, told=told).status_code == 200
    assert "secret" not in str(rows(environment, CALLS))
    with connect(Role.OWNER, autocommit=True) as owner:
        owner.execute("set session_replication_role = replica; delete from events.delivery_event; reset all")
        owner.execute(
            "insert into raw.provider_events (provider, received_at, headers, body)"
            " select provider, received_at, headers, convert_from(body, 'UTF8') from events.webhook_call"
        )
        fold_provider_events(owner, datetime.min.replace(tzinfo=UTC))
    assert rows(environment, DELIVERIES) == [(f"twilio:{SID}:delivered", MESSAGE, "delivered")]


def test_every_status_of_a_text_is_kept_once_in_whatever_order(client: httpx.Client, environment: str) -> None:
    for status in ("delivered", "queued", "sent", "delivered"):
        assert twilio(client, CALLBACK, {**DELIVERED, "MessageStatus": status}).status_code == 200
    assert [kind for _, _, kind in rows(environment, DELIVERIES)] == ["delivered", "accepted", "accepted"]


def test_stop_is_a_preference_of_the_phone_and_the_phone_is_not_kept_with_it(
    client: httpx.Client, environment: str
) -> None:
    assert twilio(client, "/events/twilio/inbound", STOP).status_code == 200
    found = rows(
        environment,
        "select channel, kind, source, address_hash = outbox.address_hash('sms', '+12025550101'), message_id"
        " from events.preference",
    )
    assert found == [("sms", "unsubscribed", "sms_keyword", True, None)]
    everything = rows(environment, "select row_to_json(p)::text from events.preference p")
    assert "2025550101" not in everything[0][0]


@pytest.mark.parametrize("told", ["variable", "extra", "extra with a slash"])
def test_behind_a_proxy_twilios_calls_are_verified_for_the_address_that_the_sender_told(
    environment: str, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    document: dict[str, Any] = CONNECTIONS["AIRFLOW_CONN_TWILIO_DEFAULT"]
    extra = {"webhook_url": f"{PUBLIC}/events/twilio{'/' if 'slash' in told else ''}"} if "extra" in told else {}
    monkeypatch.setenv("WINBACK_PUBLIC_URL", PUBLIC if told == "variable" else "https://links.example.com")
    monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", json.dumps({**document, "extra": extra}))
    inside = {"Host": "events.internal:8180", "X-Forwarded-Proto": "http"}
    sender = registry.build("twilio", connections.TWILIO, {"campaign": "c", "sms": {"from_number": "+15005550006"}})
    callback = cast("Any", sender)._settings.status_callback
    assert callback == f"{PUBLIC}/events/twilio"
    with serving(create_app()) as client:  # the test's client speaks http to 127.0.0.1, signed for https://PUBLIC
        assert twilio(client, CALLBACK, DELIVERED, headers=inside).status_code == 200
        assert twilio(client, "/events/twilio/inbound", STOP, headers=inside).status_code == 200
        assert twilio(client, CALLBACK, DELIVERED, token="other", headers=inside).status_code == 403
    assert [row[:3] for row in rows(environment, PREFERENCES)] == [("sms", "unsubscribed", "sms_keyword")]


def test_a_service_that_nobody_told_its_address_says_so(
    environment: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    document: dict[str, Any] = CONNECTIONS["AIRFLOW_CONN_TWILIO_DEFAULT"]
    monkeypatch.delenv("WINBACK_PUBLIC_URL", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", json.dumps({**document, "extra": {}}))
    with serving(create_app()):
        assert "verified for the address that this service sees" in caplog.text


def test_a_host_that_is_none_is_a_wrong_signature(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document: dict[str, Any] = CONNECTIONS["AIRFLOW_CONN_TWILIO_DEFAULT"]
    monkeypatch.delenv("WINBACK_PUBLIC_URL", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", json.dumps({**document, "extra": {}}))
    with serving(create_app()) as client:
        assert twilio(client, CALLBACK, DELIVERED, headers={"Host": "x:99999"}).status_code == 403
    assert verdicts(environment) == ["wrong_signature"]


def test_help_and_chatter_are_kept_raw_and_change_nothing(client: httpx.Client, environment: str) -> None:
    for number, words in enumerate(("HELP", "please stop", "")):
        form = {**STOP, "Body": words, "MessageSid": f"SM{number:032d}"}
        assert twilio(client, "/events/twilio/inbound", form).status_code == 200
    assert rows(environment, PREFERENCES) == []
    assert verdicts(environment) == ["verified"] * 3
