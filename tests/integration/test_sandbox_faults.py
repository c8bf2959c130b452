"""The sandbox misbehaves on command, and its receipts say what it took all the same."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.sandbox.server import Handle, Sandbox
from tests.integration.sandbox_listener import Listener, listening
from warehouse.errors import WinbackError

NOON = datetime(2017, 10, 1, 16, tzinfo=UTC)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as it:
        yield it


@pytest.fixture
def sandbox(listener: Listener) -> Iterator[Handle]:
    with Sandbox(events_url=listener.url) as handle:
        handle.set_clock(NOON)
        yield handle


def mail(sandbox: Handle, *addresses: str, timeout: float = 10) -> httpx.Response:
    people = [{"to": [{"email": one}], "custom_args": {"message_id": str(uuid.uuid4())}} for one in addresses]
    connection = sandbox.connections()["sendgrid_default"]
    return httpx.post(
        f"{connection['host']}/v3/mail/send",
        json={
            "personalizations": people,
            "from": {"email": "hello@shop.example.com"},
            "subject": "Hi",
            "content": [{"type": "text/plain", "value": "Hi"}],
        },
        headers={"Authorization": f"Bearer {connection['password']}"},
        timeout=timeout,
    )


def text(sandbox: Handle, to: str) -> httpx.Response:
    connection = sandbox.connections()["twilio_default"]
    return httpx.post(
        f"{connection['host']}/2010-04-01/Accounts/{connection['login']}/Messages.json",
        data={"To": to, "From": "+15005550006", "Body": "Hi"},
        auth=(connection["login"], connection["password"]),
    )


def taken(sandbox: Handle) -> list[str]:
    return [receipt["recipient"] for receipt in sandbox.receipts()]


def test_a_429_says_how_long_to_wait_and_only_as_often_as_asked(sandbox: Handle) -> None:
    sandbox.set_faults({"kind": "throttle", "channel": "email", "next": 2, "retry_after": 7})
    answers = [mail(sandbox, "a@example.com") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 202]
    assert answers[0].headers["Retry-After"] == "7"
    assert taken(sandbox) == ["a@example.com"]


def test_a_channel_is_left_alone_when_another_misbehaves(sandbox: Handle) -> None:
    sandbox.set_faults({"kind": "throttle", "channel": "sms", "retry_after": 3})
    answer = text(sandbox, "+12125550101")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (429, 20429, "3")
    assert mail(sandbox, "a@example.com").status_code == 202


def test_a_server_error_may_come_before_or_after_the_message_was_taken(sandbox: Handle) -> None:
    sandbox.set_faults({"kind": "error", "status": 503, "next": 1})
    assert mail(sandbox, "a@example.com").status_code == 503
    assert taken(sandbox) == []
    sandbox.set_faults({"kind": "error", "accepted": True, "next": 1})
    assert mail(sandbox, "b@example.com").status_code == 500
    assert taken(sandbox) == ["b@example.com"]


@pytest.mark.parametrize(("accepted", "receipts"), [(True, ["a@example.com"]), (False, [])])
def test_a_connection_is_cut_with_or_without_the_message_taken(
    sandbox: Handle, accepted: bool, receipts: list[str]
) -> None:
    sandbox.set_faults({"kind": "drop", "accepted": accepted, "next": 1})
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        mail(sandbox, "a@example.com")
    assert taken(sandbox) == receipts
    assert mail(sandbox, "b@example.com").status_code == 202


def test_a_refused_message_is_refused_even_when_the_answer_was_to_be_lost(sandbox: Handle) -> None:
    sandbox.set_faults({"kind": "drop"})
    assert mail(sandbox, "not an address").status_code == 400


def test_it_hangs_until_the_caller_gives_up(sandbox: Handle) -> None:
    sandbox.set_faults({"kind": "hang", "accepted": True, "next": 1})
    with pytest.raises(httpx.ReadTimeout):
        mail(sandbox, "a@example.com", timeout=0.5)
    assert taken(sandbox) == ["a@example.com"]


def test_latency_delays_and_changes_nothing_else(sandbox: Handle) -> None:
    sandbox.set_faults({"kind": "latency", "seconds": 0.3})
    start = time.monotonic()
    assert mail(sandbox, "a@example.com").status_code == 202
    assert time.monotonic() - start >= 0.3


def test_nonsense_is_no_success_that_an_api_would_send(sandbox: Handle) -> None:
    sandbox.set_faults({"kind": "nonsense", "next": 1})
    answer = mail(sandbox, "a@example.com")
    assert (answer.status_code, "errors" in answer.json()) == (200, False)
    assert taken(sandbox) == []


def test_a_bad_recipient_spoils_its_whole_request_until_it_is_left_out(sandbox: Handle) -> None:
    sandbox.set_faults({"kind": "bad_recipient", "pattern": "^bad@"})
    answer = mail(sandbox, "a@example.com", "bad@example.com", "b@example.com")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "personalizations.1.to.0.email")
    assert mail(sandbox, "a@example.com", "b@example.com").status_code == 202


def test_a_probability_is_met_and_repeats_with_its_seed(sandbox: Handle) -> None:
    rounds = []
    for _ in range(2):
        sandbox.set_faults({"kind": "throttle", "probability": 0.5}, seed=3)
        rounds.append([mail(sandbox, "a@example.com").status_code for _ in range(40)])
    assert rounds[0] == rounds[1]
    assert 8 < rounds[0].count(429) < 32


def test_webhooks_come_twice_shuffled_or_never(sandbox: Handle, listener: Listener) -> None:
    sandbox.set_faults({"kind": "duplicate", "channel": "webhook"}, {"kind": "reorder", "channel": "webhook"})
    mail(sandbox, *(f"a{number}@example.com" for number in range(100)))
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    events = listener.mail_events()
    ids = [event["sg_event_id"] for event in events]
    assert len(set(ids)) < len(ids)
    times = [event["timestamp"] for event in events]
    assert times != sorted(times)
    before = len(events)
    sandbox.set_faults({"kind": "lose", "channel": "webhook"})
    mail(sandbox, "b@example.com")
    sandbox.set_clock(NOON + timedelta(days=2))
    sandbox.drain()
    assert len(listener.mail_events()) == before


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"kind": "explode"}, "kind is 'explode'"),
        ({"kind": "latency"}, "latency needs seconds"),
        ({"kind": "drop", "channel": "fax"}, "channel is 'fax'"),
        ({"kind": "drop", "probability": 2}, "between 0 and 1"),
        ({"kind": "drop", "often": 2}, "unknown option often"),
        ({"kind": "bad_recipient"}, "needs a pattern"),
        ({"kind": "bad_recipient", "pattern": "("}, "no regular expression"),
        ({"kind": "duplicate"}, "kind is 'duplicate'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(sandbox: Handle, rule: dict[str, Any], words: str) -> None:
    with pytest.raises(WinbackError, match=words.replace("(", r"\(")):
        sandbox.add_fault(rule)
    assert sandbox.status()["faults"] == []


def test_many_threads_at_once_lose_nothing(sandbox: Handle) -> None:
    def work(name: int) -> None:
        connection = sandbox.connections()["twilio_default"]
        url = f"{connection['host']}/2010-04-01/Accounts/{connection['login']}/Messages.json"
        with httpx.Client(auth=(connection["login"], connection["password"])) as client:
            for number in range(50):
                form = {"To": f"+1212{name:03}{number:04}", "From": "+15005550006", "Body": "Hi"}
                assert client.post(url, data=form).status_code == 201

    threads = [threading.Thread(target=work, args=(200 + name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken(sandbox))) == 800


def test_a_reset_forgets_everything(sandbox: Handle) -> None:
    mail(sandbox, "a@example.com")
    sandbox.set_faults({"kind": "hang"})
    sandbox.reset()
    assert (taken(sandbox), sandbox.status()["faults"], sandbox.status()["clock"]) == ([], [], None)
