"""Sending: the dispatcher with its ledger against the SDKs' one call a message, against plain HTTP and bare encryption.

A sink of the providers' protocols answers after 50 ms. Everything runs on the same cores: the dispatching processes,
PostgreSQL, the sink.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench import server
from bench.days import REPETITIONS
from bench.measure import Figure, median, say, spread
from bench.outgoing import Outgoing, outgoing
from bench.sender import ACCOUNT
from bench.sink import LATENCY

SHARDS = 2
"""Dispatching processes: one a core of the machine this is made for."""
MESSAGES = {"email": 60_000, "sms": 12_000, "webpush": 12_000}
QUICK = 20
BATCH, LANES = 100, 4
"""E-mail: messages a request, and requests at once, over both processes."""
CONNECTIONS = {"sms": 48, "webpush": 96}
"""Requests at once, over both processes and the lanes of each."""
LANES_EACH = 4
"""Lanes of a process that sends texts or notifications, each with its share of the connections."""
SDK_SAMPLE = 200
SDK_LIMITS = {"email": 300.0, "sms": 30.0}
BATCH_LIMIT, HTTP_LIMIT, ENCRYPTION_LIMIT = 0.5, 0.6, 0.7


@dataclass(frozen=True)
class Sent:
    """What some processes did together."""

    messages: int
    seconds: float
    """Of the one that took longest."""
    peak_bytes: int
    """Of the largest."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def run(quick: bool) -> list[Figure]:
    """The three channels."""
    sizes = {channel: messages // QUICK if quick else messages for channel, messages in MESSAGES.items()}
    with sink() as host:
        return [*_mails(sizes["email"], host), *_texts(sizes["sms"], host), *_pushes(sizes["webpush"], host)]


def _mails(contacts: int, host: str) -> list[Figure]:
    box = outgoing("email", contacts)
    ours, one_by_one = [], []
    for number in range(REPETITIONS):
        ours.append(dispatched(box, host, lanes=LANES // SHARDS))
        one_by_one.append(together(host, [["sdk", "email", str(SDK_SAMPLE)]]))
        _told(number, ours, one_by_one)
    server.drop(box.name)
    rate, single = (median([each.rate for each in found]) for found in (ours, one_by_one))
    ceiling = BATCH * LANES / LATENCY
    parts: dict[str, Any] = {
        "messages": box.messages,
        "batch": BATCH,
        "requests at once": LANES,
        "latency, seconds": LATENCY,
    }
    parts |= {"ours, messages a second": spread([each.rate for each in ours])}
    return [
        Figure(
            "e-mail, ledger included, over the SDK's one call a message",
            rate / single,
            SDK_LIMITS["email"],
            at_least=True,
            measured={**parts, "SDK, messages a second": spread([each.rate for each in one_by_one])},
            summary=f"{rate:,.0f} and {single:,.1f} messages a second",
        ),
        Figure(
            "e-mail, ledger included, over batch size x connections / latency",
            rate / ceiling,
            BATCH_LIMIT,
            at_least=True,
            measured=parts,
            summary=f"{rate:,.0f} of {ceiling:,.0f} messages a second: {BATCH} a request, {LANES} at once",
        ),
    ]


def _texts(contacts: int, host: str) -> list[Figure]:
    box = outgoing("sms", contacts)
    connections = CONNECTIONS["sms"]
    ours, plain, one_by_one = [], [], []
    for number in range(REPETITIONS):
        ours.append(dispatched(box, host, lanes=LANES_EACH, connections=connections // SHARDS // LANES_EACH))
        share = [str(connections // SHARDS), str(box.messages // SHARDS)]
        plain.append(together(host, [["plain", *share] for _ in range(SHARDS)]))
        one_by_one.append(together(host, [["sdk", "sms", str(SDK_SAMPLE)]]))
        _told(number, ours, plain, one_by_one)
    server.drop(box.name)
    rate, ceiling, single = (median([each.rate for each in found]) for found in (ours, plain, one_by_one))
    parts: dict[str, Any] = {"messages": box.messages, "connections": connections, "latency, seconds": LATENCY}
    parts |= {"ours, messages a second": spread([each.rate for each in ours])}
    return [
        Figure(
            "texts, ledger included, over plain HTTP through as many connections",
            rate / ceiling,
            HTTP_LIMIT,
            at_least=True,
            measured={**parts, "plain HTTP, messages a second": spread([each.rate for each in plain])},
            summary=f"{rate:,.0f} and {ceiling:,.0f} messages a second, {connections} connections",
        ),
        Figure(
            "texts, ledger included, over the SDK's one call after the other",
            rate / single,
            SDK_LIMITS["sms"],
            at_least=True,
            measured={**parts, "SDK, messages a second": spread([each.rate for each in one_by_one])},
            summary=f"{rate:,.0f} and {single:,.1f} messages a second",
        ),
    ]


def _pushes(contacts: int, host: str) -> list[Figure]:
    box = outgoing("webpush", contacts)
    connections = CONNECTIONS["webpush"]
    ours, bare = [], []
    for number in range(REPETITIONS):
        ours.append(dispatched(box, host, lanes=LANES_EACH, connections=connections // SHARDS // LANES_EACH))
        bare.append(together(host, [["encrypt", str(box.messages // SHARDS)] for _ in range(SHARDS)]))
        _told(number, ours, bare)
    server.drop(box.name)
    rate, limit = (median([each.rate for each in found]) for found in (ours, bare))
    return [
        Figure(
            "push, ledger included, over encryption alone on the same cores",
            rate / limit,
            ENCRYPTION_LIMIT,
            at_least=True,
            measured={
                "messages": box.messages,
                "connections": connections,
                "latency, seconds": LATENCY,
                "ours, messages a second": spread([each.rate for each in ours]),
                "encryption alone, messages a second": spread([each.rate for each in bare]),
            },
            summary=f"{rate:,.0f} and {limit:,.0f} messages a second, {connections} connections",
        )
    ]


def _told(number: int, *found: Sequence[Sent]) -> None:
    rates = ", ".join(f"{each[-1].rate:,.0f}" for each in found)
    say(f"{number + 1} of {REPETITIONS}: {rates} messages a second")


def dispatched(box: Outgoing, host: str, *, lanes: int = 1, connections: int = 1, shards: int = SHARDS) -> Sent:
    """Everything that is planned in a fresh copy, by some processes of the dispatcher at once."""
    copy = f"{box.name}_copy"
    server.use(server.database(copy, template=box.name))
    roles = [
        ["dispatch", str(index), str(shards), str(lanes), box.clock.isoformat(), box.until.isoformat()]
        for index in range(shards)
    ]
    done = together(host, roles, **senders(host, connections))
    server.drop(copy)
    if done.messages != box.messages:
        raise RuntimeError(f"{done.messages:,} of {box.messages:,} messages of {box.name} were accepted.")
    return done


def together(host: str, roles: Sequence[Sequence[str]], **environment: str) -> Sent:
    """Starts a process a role, lets them begin together, and adds up what they did."""
    crew = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.sender", *role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "BENCH_SINK": host, **environment},
            text=True,
        )
        for role in roles
    ]
    for each in crew:
        assert each.stdout is not None
        if each.stdout.readline().strip() != "ready":
            raise RuntimeError(f"`{' '.join(map(str, each.args))}` did not begin.")  # type: ignore[arg-type]
    for each in crew:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    told = [json.loads(each.communicate()[0].splitlines()[-1]) for each in crew]
    return Sent(
        sum(each["messages"] for each in told),
        max(each["seconds"] for each in told),
        max(each["peak_bytes"] for each in told),
    )


def senders(host: str, connections: int) -> dict[str, str]:
    """Airflow's connections of all senders, to the sink."""
    from local.sandbox.keys import Keys

    documents = {
        "SENDGRID_DEFAULT": {"host": host, "password": "SG.key", "extra": {"sandbox": True, "batch_size": BATCH}},
        "TWILIO_DEFAULT": {
            "host": host,
            "login": ACCOUNT,
            "password": "token",
            "extra": {"sandbox": True, "connections": connections},
        },
        "WEBPUSH_DEFAULT": {
            "password": Keys().vapid_private,
            "extra": {"sandbox": True, "sandbox_host": host.partition("//")[2], "connections": connections},
        },
    }
    found = {f"AIRFLOW_CONN_{name}": json.dumps({"conn_type": "http", **each}) for name, each in documents.items()}
    return {**found, "WINBACK_PUBLIC_URL": "https://links.shop.example.com"}


@contextmanager
def sink() -> Iterator[str]:
    """The sink, in a process of its own: its base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("The sink did not start.")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
