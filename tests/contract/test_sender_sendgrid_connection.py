"""SendGrid's connection: what is refused before anything is claimed, and a way out that has an end."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from senders import registry
from senders.contract import EMAIL, OutcomeKind
from tests.contract.providers import API_KEY, DEFINITION, SendGrid, message
from tests.contract.stub import Stub
from tests.contract.test_sender_http import drip, listening
from warehouse import connections
from warehouse.errors import Misconfigured


@pytest.fixture
def sendgrid(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> SendGrid:
    return SendGrid(stub, monkeypatch.setenv)


def connection(**document: Any) -> str:
    return json.dumps({"conn_type": "sendgrid", "password": API_KEY, **document})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"host": "https://api.sendgrid.com", "extra": {"sandbox": True}}, "provider itself"),
        ({"host": "https://api.eu.sendgrid.com", "extra": {"sandbox": True}}, "provider itself"),
        ({"host": "API.SendGrid.com", "extra": {"sandbox": True}}, "provider itself"),
        ({"extra": {"sandbox": True}}, "provider itself"),
        ({"host": "http://api.sendgrid.com"}, "in the clear"),
        ({"host": "https://api.sendgrid.com", "password": ""}, "no password"),
        ({"extra": {"batch_size": 5000}}, "batch_size"),
        ({"extra": {"timeout_seconds": "soon"}}, "timeout_seconds"),
    ],
)
def test_a_wrong_connection_is_refused_before_anything_is_claimed(
    document: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connections.variable(connections.SENDGRID), connection(**document))
    with pytest.raises(Misconfigured, match=words):
        registry.build("sendgrid", connections.SENDGRID, DEFINITION)


@pytest.mark.parametrize("key", [f"{API_KEY}\n", f"{API_KEY[:9]}–{API_KEY[9:]}"])
def test_a_key_that_no_header_can_carry_is_refused_before_any_message_is_in_doubt(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connections.variable(connections.SENDGRID), connection(password=key))
    with pytest.raises(Misconfigured, match="character") as refused:
        registry.build("sendgrid", connections.SENDGRID, DEFINITION)
    assert API_KEY[:9] not in str(refused.value)


def test_an_answer_that_is_drawn_out_is_cut_and_the_batch_in_doubt(sendgrid: SendGrid) -> None:
    began = time.monotonic()
    with listening(drip(b"HTTP/1.1 202 Accepted\r\n", b"X: y\r\n")) as port:
        sendgrid.connect(f"http://127.0.0.1:{port}", timeout_seconds=0.3)
        outcomes = sendgrid.sender().send([message(number, EMAIL) for number in range(1, 4)]).values()
    assert [(outcome.kind, outcome.error_code) for outcome in outcomes] == [(OutcomeKind.UNKNOWN, "timeout")] * 3
    assert time.monotonic() - began < 10


def test_a_campaign_without_a_sender_is_refused(sendgrid: SendGrid) -> None:
    with pytest.raises(Misconfigured, match="reply_to"):
        registry.build(
            "sendgrid",
            connections.SENDGRID,
            {**DEFINITION, "email": {"from_name": "A", "from_address": "a@example.com"}},
        )
