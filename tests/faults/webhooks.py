"""Experiments on what comes back: webhooks twice, in any order, replayed, forged, cut off, far too large."""

from __future__ import annotations

import base64
import json
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import httpx
import psutil
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from local.sandbox.keys import private_key
from tests.faults.crew import Contestant
from tests.faults.database import Arena
from tests.faults.rounds import Experiment, Round, on_stage
from tests.integration.handoff_stub import SEND_AT

LARGE = 100 * 1024 * 1024
ROOM = 150 * 1024 * 1024
"""Bytes that the service may grow by under all of this."""
STRANGER = ec.generate_private_key(ec.SECP256R1())


@contextmanager
def _with_webhooks(arena: Arena, contestant: Contestant, seed: int, *, people: int, quick: bool) -> Iterator[Round]:
    """A round whose sandbox reports to a webhook service, a process of its own that writes to the round's database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with on_stage(arena, contestant, seed, people=people, quick=quick, events_url=url) as it:
        service = it.crew.spawn("events", "--port", str(port), WINBACK_EVENTS_RATE="100000")
        try:
            it.crew.until("the webhook service answers", lambda: _answers(url))
            yield it
            assert service.poll() is None, f"the webhook service died:\n{it.crew.last_words()}"
        finally:
            service.send_signal(signal.SIGKILL)
            service.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _reported(it: Round) -> None:
    """Answers are lost and workers killed; what providers report later settles what was in doubt, and nothing else."""
    it.sandbox.set_faults(
        {"kind": "drop", "channel": "email", "accepted": True, "probability": 0.3},
        {"kind": "error", "channel": "email", "accepted": False, "probability": 0.1},
        seed=it.dice.randrange(1_000_000),
    )
    worker = it.crew.start()
    it.crew.until_sent()
    it.crew.kill(worker)
    it.crew.finish()
    before = dict(it.shop.rows("select id, state from outbox.message"))
    it.sandbox.set_faults(
        {"kind": "duplicate", "channel": "webhook", "probability": 0.5},
        {"kind": "reorder", "channel": "webhook"},
        seed=it.dice.randrange(1_000_000),
    )
    it.sandbox.set_clock(SEND_AT + timedelta(days=3))
    it.sandbox.drain(60)
    counted = _events(it)
    _abuse(it)
    assert _events(it) == counted, "what nobody signed, or signed long ago, was believed"
    assert it.crew.start().wait() == 0, it.crew.last_words()
    it.crew.reap()
    received = {receipt["message_id"] for receipt in it.sandbox.receipts()}
    for message, state in it.shop.rows("select id, state from outbox.message"):
        settled = before[message] == "in_doubt" and str(message) in received
        assert state == ("accepted" if settled else before[message]), (message, before[message], state)


def _events(it: Round) -> list[tuple[Any, ...]]:
    """How many events are known, and that none is known twice."""
    found = it.shop.rows(
        "select (select count(*) from events.delivery_event), (select count(distinct event_key) from"
        " events.delivery_event), (select count(*) from events.engagement_event)"
    )
    assert found[0][0] == found[0][1] > 0, found
    return found


def _abuse(it: Round) -> None:
    """What strangers and broken proxies send; each is answered as it should be, and none is believed."""
    own = private_key(it.sandbox.keys.webhook_private)
    event = {
        "email": "c00001@example.com", "timestamp": int(SEND_AT.timestamp()), "event": "delivered",
        "sg_event_id": uuid.uuid4().hex, "message_id": str(it.shop.value("select id from outbox.message limit 1")),
    }  # fmt: skip
    body = json.dumps([event]).encode()
    with httpx.Client(base_url=str(it.sandbox.events_url), trust_env=False, timeout=60) as client:
        service = _process_at(client)
        grown = service.memory_info().rss
        for expected, content, headers in (
            (403, body, _signed(body, STRANGER)),
            (401, body, {}),
            (403, body + b" ", _signed(body, own)),
            (403, body, _signed(body, own, age=timedelta(days=3))),
            (400, body[:-20], _signed(body[:-20], own)),
            (400, b"\xff\xfe" * 500, _signed(b"\xff\xfe" * 500, own)),
        ):
            answer = client.post("/events/sendgrid", content=content, headers=headers)
            assert answer.status_code == expected, (answer.status_code, expected, content[:40])
        _replay(it, client, own)
        for _ in range(it.some(5, 1)):
            _send_too_much(client)
        assert client.get("/health").status_code == 200
        assert service.memory_info().rss - grown < ROOM, "the service keeps what it refuses"


def _replay(it: Round, client: httpx.Client, key: ec.EllipticCurvePrivateKey) -> None:
    """What was taken before, signed again and sent again: answered 200, and nothing is added."""
    known = it.shop.rows(
        "select body from events.webhook_call where provider = 'sendgrid' and verdict = 'verified' limit 5"
    )
    assert known
    for (body,) in known:
        assert (
            client.post("/events/sendgrid", content=bytes(body), headers=_signed(bytes(body), key)).status_code == 200
        )


def _send_too_much(client: httpx.Client) -> None:
    """100 MB without saying so beforehand."""
    part = b"x" * (1024 * 1024)
    try:
        answer = client.post("/events/sendgrid", content=(part for _ in range(LARGE // len(part))))
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return  # the line was cut while we were still talking
    assert answer.status_code == 413, answer.status_code


def _signed(body: bytes, key: ec.EllipticCurvePrivateKey, age: timedelta = timedelta()) -> dict[str, str]:
    timestamp = str(int(time.time() - age.total_seconds()))
    signature = base64.b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    return {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Signature": signature,
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }


def _process_at(client: httpx.Client) -> psutil.Process:
    """The service that answers there: a child of this process."""
    port = str(client.base_url.port)
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # one that has just ended has no command line any more
            if port in child.cmdline():
                return child
    raise AssertionError(f"nothing of ours answers at port {port}")


EXPERIMENTS = (
    Experiment(
        "reported", "webhooks twice, reordered, replayed, forged, cut, 100 MB", _reported, people=(400, 60),
        control=False, stage=_with_webhooks,
    ),
)  # fmt: skip
