"""Messages in doubt, looked up in SendGrid's Email Activity of the sandbox."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from cli.dispatch import look_up_doubtful
from local.sandbox.server import Handle, Sandbox
from outbox import outcomes, reconcile
from outbox.dispatch import Dispatcher
from outbox.sql import ledger
from senders import registry
from senders.contract import EMAIL, SMS, WEBPUSH, Evidence, SendError
from senders.sendgrid.transport import Transport
from tests.integration.handoff_stub import BUILT_AT, SEND_AT, UNTIL, Shop, campaign
from warehouse import connections
from warehouse.errors import Misconfigured

MAIL = {"from_name": "Market", "from_address": "hello@shop.example.com", "reply_to": "care@shop.example.com"}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    with Sandbox() as handle:
        handle.set_clock(SEND_AT)
        document = handle.connections()["sendgrid_default"]
        document["extra"] = {**document["extra"], "email_activity": True}  # type: ignore[dict-item]
        monkeypatch.setenv(connections.variable(connections.SENDGRID), json.dumps(document))
        yield handle


def doubtful(shop: Shop, sandbox: Handle, kind: str) -> uuid.UUID:
    """A message in doubt: SendGrid took it and dropped the line, or answered 500 before it took anything."""
    shop.define(campaign(email=MAIL))
    fault = {"kind": "drop", "channel": "email"} if kind == "taken" else {"kind": "error", "channel": "email"}
    sandbox.set_faults(fault)
    message_id = shop.planned()
    Dispatcher(registry.sender_for, connections=1).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert shop.value("select state from outbox.message where id = %s", message_id) == "in_doubt"
    sandbox.set_faults()
    return message_id


def look_up() -> int:
    log = registry.log_of(EMAIL)
    assert log is not None
    with ledger() as connection:
        return reconcile.by_log(connection, EMAIL, log, clock=SEND_AT + timedelta(hours=1))


def test_what_sendgrid_lists_under_our_id_was_accepted_and_says_why_it_is_believed(shop: Shop, sandbox: Handle) -> None:
    message_id = doubtful(shop, sandbox, "taken")
    assert look_up() == 1
    state, channel, outcome, evidence = shop.rows(
        "select m.state, m.accepted_channel, a.outcome, a.evidence"
        " from outbox.message m join outbox.attempt a on a.message_id = m.id where m.id = %s",
        message_id,
    )[0]
    assert (state, channel, outcome) == ("accepted", "email", "accepted")
    (receipt,) = sandbox.receipts()
    assert (evidence["source"], evidence["provider_message_id"]) == ("provider log", receipt["provider_id"])
    assert look_up() == 0


def test_dispatch_looks_messages_in_doubt_up(shop: Shop, sandbox: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    message_id = doubtful(shop, sandbox, "taken")
    with ledger() as desk:
        look_up_doubtful(desk, SEND_AT)
    assert "1 in doubt found" in capsys.readouterr().out
    assert shop.value("select state from outbox.message where id = %s", message_id) == "accepted"


def test_what_sendgrid_does_not_have_stays_in_doubt_and_is_not_sent_again(shop: Shop, sandbox: Handle) -> None:
    message_id = doubtful(shop, sandbox, "refused")
    assert look_up() == 0
    assert shop.value("select state from outbox.message where id = %s", message_id) == "in_doubt"
    assert list(sandbox.receipts()) == []


def test_a_record_that_does_not_repeat_our_id_proves_nothing(
    shop: Shop, sandbox: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = doubtful(shop, sandbox, "taken")
    real = Transport.read

    def altered(self: Transport, *path: str, **query: str) -> Any:
        answer = real(self, *path, **query)
        return {**answer, "unique_args": json.dumps({"message_id": str(uuid.uuid4())})} if len(path) > 1 else answer

    monkeypatch.setattr(Transport, "read", altered)
    assert look_up() == 0
    assert shop.value("select state from outbox.message where id = %s", message_id) == "in_doubt"


def test_a_log_that_is_busy_settles_nothing_and_the_next_pass_goes_on(shop: Shop, sandbox: Handle) -> None:
    doubtful(shop, sandbox, "taken")
    log = registry.log_of(EMAIL)
    assert log is not None
    for _ in range(6):  # as many as SendGrid allows a minute
        log(uuid.uuid4())
    with pytest.raises(SendError):
        log(uuid.uuid4())
    assert look_up() == 0


def test_a_key_without_rights_is_said_and_settles_nothing(
    shop: Shop, sandbox: Handle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    doubtful(shop, sandbox, "taken")
    document = {**sandbox.connections()["sendgrid_default"], "password": "SG.wrong"}
    document["extra"] = {"sandbox": True, "email_activity": True}
    monkeypatch.setenv(connections.variable(connections.SENDGRID), json.dumps(document))
    with pytest.raises(Misconfigured):
        look_up()
    with ledger() as desk:
        look_up_doubtful(desk, SEND_AT)
    assert "cannot be looked up" in capsys.readouterr().out


def test_a_message_that_was_settled_meanwhile_is_left_as_it_is(shop: Shop, sandbox: Handle) -> None:
    message_id = doubtful(shop, sandbox, "taken")

    def slow(_: uuid.UUID) -> Evidence:
        with ledger() as other:
            outcomes.settle(other, message_id, "rejected", by="ann", evidence="asked SendGrid")
        return Evidence("x", "processed")

    with ledger() as connection:
        assert reconcile.by_log(connection, EMAIL, slow, clock=SEND_AT) == 0
    assert shop.value("select state from outbox.message where id = %s", message_id) == "rejected"


def test_no_log_is_read_unless_the_connection_says_that_there_is_one(
    sandbox: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.log_of(SMS) is None
    assert registry.log_of(WEBPUSH) is None
    monkeypatch.setenv(
        connections.variable(connections.SENDGRID), json.dumps(sandbox.connections()["sendgrid_default"])
    )
    assert registry.log_of(EMAIL) is None


@pytest.mark.parametrize("query", ["subject LIKE 'x'", "unique_args[message_id]=x", 'msg_id="a" OR msg_id="b"'])
def test_the_sandbox_refuses_a_query_that_it_cannot_read(sandbox: Handle, query: str) -> None:
    connection: dict[str, Any] = sandbox.connections()["sendgrid_default"]
    answer = httpx.get(
        f"{connection['host']}/v3/messages",
        params={"query": query},
        headers={"Authorization": f"Bearer {connection['password']}"},
    )
    assert answer.status_code == 400
