"""Senders, provider sandbox and webhook service together: an independent judge of what we send and what comes back."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events.app import create_app
from local.sandbox.server import Handle, Sandbox
from senders import links, registry
from senders.contract import EMAIL, SMS, WEBPUSH, Message, OutcomeKind, Push, Recipient, Subscription, Template
from tests.integration.events_service import rows
from warehouse import connections

CLOCK = datetime(2017, 10, 1, 14, 0, tzinfo=UTC)
DEFINITION: dict[str, Any] = {
    "campaign": "winback",
    "email": {"from_name": "Market", "from_address": "hello@shop.example.com", "reply_to": "care@shop.example.com"},
    "sms": {"from_number": "+15005550006"},
    "webpush": {"contact": "mailto:care@shop.example.com"},
    "steps": [{"key": "day30"}],
}
TEMPLATE = Template(
    template_hash="7" * 64,
    subject="We miss you, {{ first_name }}",
    html='<p>Hi {{ first_name }}</p><a href="{{ step_url }}">Shop</a><a href="{{ unsubscribe_url }}">Unsubscribe</a>',
    text="Hello {{ first_name }}\n{{ step_url }}\n{{ unsubscribe_url }}",
    sms="Market: hello {{ first_name }}! {{ step_url }} Reply STOP to opt out",
    push=Push("We miss you", "Hello {{ first_name }}", "{{ step_url }}"),
)


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Stage:
    """Everything that runs, and the browsers' keys."""

    sandbox: Handle
    warehouse: str
    push_keys: Path

    def message(self, number: int, channel: str) -> Message:
        message_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{channel}{number}")
        recipient = Recipient(email=f"person{number}@example.com")
        if channel == SMS:
            recipient = Recipient(phone=f"+1202555{number:04d}")
        if channel == WEBPUSH:
            recipient = Recipient(subscriptions=[self.subscribe(number)])
        fields = {
            "first_name": "Zoë <3 & Co",
            "step_url": "https://shop.example.com/?a=1&b=2",
            "unsubscribe_url": links.unsubscribe_url(message_id),
        }
        return Message(
            *(message_id, channel, recipient, TEMPLATE, fields, "winback", "day30", CLOCK + timedelta(hours=6), CLOCK),
            unsubscribe_url=fields["unsubscribe_url"],
        )

    def subscribe(self, number: int) -> Subscription:
        key, endpoint = ec.generate_private_key(ec.SECP256R1()), f"https://push{number}.example.net/s/{number}"
        point = b64url(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        auth = b64url(f"{number:016d}".encode())
        known = json.loads(self.push_keys.read_text()) if self.push_keys.exists() else {}
        private = b64url(key.private_numbers().private_value.to_bytes(32, "big"))
        self.push_keys.write_text(json.dumps({**known, endpoint: {"private_key": private, "auth": auth}}))
        return Subscription(endpoint, point, auth)

    def send(self, channel: str, messages: list[Message]) -> dict[uuid.UUID, Any]:
        return dict(registry.sender_for(channel, DEFINITION).send(messages))

    def receipts(self) -> list[dict[str, Any]]:
        time.sleep(0.3)  # the sandbox writes its receipts ten times a second
        text = httpx.get(f"{self.sandbox.url}/control/receipts", trust_env=False).text
        return [json.loads(line) for line in text.splitlines()]

    def put(self, path: str, document: Any) -> None:
        httpx.put(f"{self.sandbox.url}/control/{path}", json=document, trust_env=False).raise_for_status()


@pytest.fixture
def stage(warehouse: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    monkeypatch.setenv("WINBACK_TOKEN_KEY", "a-key-for-tests")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    keys = tmp_path / "push_keys.json"
    with Sandbox(events_url=url, push_keys=keys) as sandbox:
        for conn_id, document in sandbox.connections().items():
            monkeypatch.setenv(connections.variable(conn_id), json.dumps(document))
        server = uvicorn.Server(uvicorn.Config(create_app(), log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        sandbox.set_clock(CLOCK)
        yield Stage(sandbox, warehouse, keys)
        server.should_exit = True
        thread.join(timeout=10)
    listener.close()


@pytest.mark.parametrize("channel", [EMAIL, SMS, WEBPUSH])
def test_what_we_send_is_taken_by_a_strict_provider_once_each(stage: Stage, channel: str) -> None:
    messages = [stage.message(number, channel) for number in range(30)]
    outcomes = stage.send(channel, messages)
    assert {outcome.kind for outcome in outcomes.values()} == {OutcomeKind.ACCEPTED}
    receipts = stage.receipts()
    assert sorted(receipt["message_id"] for receipt in receipts) == sorted(str(one.message_id) for one in messages)
    if channel == WEBPUSH:
        assert all(receipt["decrypted"] for receipt in receipts)


@pytest.mark.parametrize("channel", [EMAIL, SMS, WEBPUSH])
def test_one_bad_recipient_costs_nobody_else_the_message(stage: Stage, channel: str) -> None:
    messages = [stage.message(number, channel) for number in range(12)]
    pattern = {EMAIL: "person7@", SMS: "2025550007$", WEBPUSH: "/s/7$"}[channel]
    stage.put("faults", {"faults": [{"kind": "bad_recipient", "channel": channel, "pattern": pattern}]})
    outcomes = stage.send(channel, messages)
    assert [key for key, outcome in outcomes.items() if outcome.kind is OutcomeKind.REJECTED] == [
        messages[7].message_id
    ]
    assert len(stage.receipts()) == 11


def test_a_mail_looks_the_same_alone_and_in_a_batch(stage: Stage) -> None:
    first, second, third = (stage.message(number, EMAIL) for number in range(3))
    stage.send(EMAIL, [first, second])
    stage.send(EMAIL, [third])
    url = f"{stage.sandbox.url}/inbox/messages"
    mails = [httpx.get(f"{url}/{seq}/mail", trust_env=False).text for seq in (1, 2, 3)]
    assert len({re.sub(r"/unsubscribe/[^\"]+", "", mail) for mail in mails}) == 1
    assert "Zoë &lt;3 &amp; Co" in mails[0]
    assert "{{" not in mails[0]


def test_what_comes_back_is_verified_and_finds_its_message(stage: Stage) -> None:
    rates = {"email": {"bounced": 0, "blocked": 0, "deferred": 0, "opened": 1, "machine_opened": 1, "clicked": 1}}
    rates |= {"sms": {"failed": 0, "undelivered": 0, "stopped": 1}, "webpush": {"clicked": 1}}
    stage.put("habits", {"rates": rates})
    mails, texts, pushes = ([stage.message(n, channel) for n in range(3)] for channel in (EMAIL, SMS, WEBPUSH))
    for channel, messages in ((EMAIL, mails), (SMS, texts), (WEBPUSH, pushes)):
        stage.send(channel, messages)
    stage.sandbox.set_clock(CLOCK + timedelta(days=2))
    stage.sandbox.drain(30)
    counts = "select channel, kind, count(distinct message_id)::int from events.{} group by 1, 2"
    deliveries = set(rows(stage.warehouse, counts.format("delivery_event")))
    assert {("email", "accepted", 3), ("email", "delivered", 3), ("sms", "delivered", 3)} <= deliveries
    engagements = set(rows(stage.warehouse, counts.format("engagement_event")))
    assert {("email", "opened", 3), ("email", "clicked", 3)} <= engagements
    assert rows(stage.warehouse, "select count(*) from events.engagement_event where is_machine") == [(3,)]
    stopped = rows(
        stage.warehouse,
        "select count(distinct address_hash)::int, min(kind), min(occurred_at) from events.preference"
        " where channel = 'sms'",
    )
    assert stopped[0][:2] == (3, "unsubscribed")
    verdicts = rows(stage.warehouse, "select distinct verdict from events.webhook_call")
    assert verdicts == [("verified",)]
    times = "select min(occurred_at), max(occurred_at) from events.delivery_event"
    earliest, latest = rows(stage.warehouse, times)[0]
    assert CLOCK <= earliest <= latest <= CLOCK + timedelta(days=2), "what happened when is simulated time"
    assert CLOCK <= stopped[0][2] <= CLOCK + timedelta(days=2)


def test_webhooks_twice_and_shuffled_are_there_once(stage: Stage) -> None:
    stage.put(
        "faults",
        {"faults": [{"kind": "duplicate", "channel": "webhook"}, {"kind": "reorder", "channel": "webhook"}]},
    )
    stage.send(EMAIL, [stage.message(number, EMAIL) for number in range(20)])
    stage.send(SMS, [stage.message(number, SMS) for number in range(5)])
    stage.sandbox.set_clock(CLOCK + timedelta(days=2))
    stage.sandbox.drain(30)
    doubles = "select count(*) from (select message_id, kind, code, occurred_at from events.delivery_event"
    assert rows(stage.warehouse, f"{doubles} group by 1, 2, 3, 4 having count(*) > 1) d") == [(0,)]
    assert rows(stage.warehouse, "select count(distinct message_id) from events.delivery_event") == [(25,)]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "throttle", "retry_after": 5}, OutcomeKind.NOT_SENT),
        ({"kind": "error"}, OutcomeKind.UNKNOWN),
        ({"kind": "error", "status": 503, "accepted": True}, OutcomeKind.UNKNOWN),
        ({"kind": "drop"}, OutcomeKind.UNKNOWN),
        ({"kind": "nonsense", "accepted": True}, OutcomeKind.UNKNOWN),
        ({"kind": "hang", "accepted": True, "seconds": 3}, OutcomeKind.UNKNOWN),
    ],
)
def test_the_sandboxes_faults_mean_what_they_mean(
    stage: Stage, fault: dict[str, Any], kind: OutcomeKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for conn_id, document in stage.sandbox.connections().items():
        quick = {**document, "extra": {**document["extra"], "timeout_seconds": 1}}
        monkeypatch.setenv(connections.variable(conn_id), json.dumps(quick))
    stage.put("faults", {"faults": [fault]})
    for channel in (EMAIL, SMS) if fault["kind"] == "nonsense" else (EMAIL, SMS, WEBPUSH):
        outcomes = stage.send(channel, [stage.message(number, channel) for number in range(2)])
        assert {outcome.kind for outcome in outcomes.values()} == {kind}, channel


def test_an_alert_reaches_the_team(stage: Stage) -> None:
    outcome = registry.notifier()("No codes left", "Pool winback_discount10 is dry.", str(uuid.uuid4()))
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert [receipt["recipient"] for receipt in stage.receipts()] == ["team@example.com"]


def test_every_sender_is_seen_to_be_sandboxed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert registry.all_sandboxed()
    real = {"conn_type": "sendgrid", "password": "SG.x", "host": "https://api.sendgrid.com"}
    monkeypatch.setenv(connections.variable(connections.SENDGRID), json.dumps(real))
    assert not registry.all_sandboxed()


def test_a_person_who_unsubscribes_by_one_click_is_heard(stage: Stage) -> None:
    one = stage.message(1, EMAIL)
    answer = httpx.post(one.unsubscribe_url, data={"List-Unsubscribe": "One-Click"}, trust_env=False)
    assert answer.status_code == 200
    found = rows(stage.warehouse, "select message_id, kind, source, occurred_at from events.preference")
    assert found == [(one.message_id, "unsubscribed", "one_click", CLOCK)]
