"""Intake: SendGrid's signed events posted to the webhook service over HTTP, against a bare COPY of the same rows.

SendGrid posts what has gathered since its last call. Here that is `EVENTS` a call, on `CONNECTIONS` connections at
once. The service is a process of its own (`python -m events`); it answers 200 once a call is kept raw and its events
are committed. The COPY, in PostgreSQL's binary form and one transaction, puts the very rows that this has left behind
into tables with the same columns, checks and indexes, raw calls included.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psycopg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from psycopg import sql

from bench import server
from bench.days import REPETITIONS
from bench.measure import Figure, median, say, spread

EVENTS = 1_000
"""Events of one call."""
CALLS, QUICK = 100, 10
CONNECTIONS = 8
LIMIT = 1 / 3
NAME = "bench_intake"
TABLES = ("webhook_call", "delivery_event", "engagement_event", "preference")
SHARES = {"processed": 38, "delivered": 36, "open": 17, "click": 5, "bounce": 2, "deferred": 1.9, "spamreport": 0.1}
"""Of a hundred events of a mass mailing: a choice of ours, not a measurement."""
START_SECONDS = 60


def run(quick: bool) -> list[Figure]:
    """Events a second, ours over the COPY's."""
    url = server.database(NAME)
    _make_tables(url)
    key = ec.generate_private_key(ec.SECP256R1())
    calls = [_signed(key, _batch(number)) for number in range(CALLS // QUICK if quick else CALLS)]
    events = len(calls) * EVENTS
    ours, bare = [], []
    with service(key) as port:
        post(port, calls[:CONNECTIONS])
        for number in range(REPETITIONS):
            _empty(url, "events")
            ours.append(events / post(port, calls))
            rows = _rows(url)
            _empty(url, "bench")
            bare.append(events / copy(url, rows))
            _compare(url)
            say(f"{number + 1} of {REPETITIONS}: {ours[-1]:,.0f} and {bare[-1]:,.0f} events a second")
    server.drop(NAME)
    rate, limit = median(ours), median(bare)
    return [
        Figure(
            "webhook intake over a bare COPY of the same rows",
            rate / limit,
            LIMIT,
            at_least=True,
            measured={
                "events": events,
                "events a call": EVENTS,
                "calls at once": CONNECTIONS,
                "ours, events a second": spread(ours),
                "COPY, events a second": spread(bare),
            },
            summary=f"{rate:,.0f} and {limit:,.0f} events a second, {EVENTS:,} a call",
        )
    ]


@contextmanager
def service(key: ec.EllipticCurvePrivateKey) -> Iterator[int]:
    """The webhook service, believing what `key` signs: its port, until the block ends."""
    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    connection = {"conn_type": "http", "password": "SG.key", "extra": {"webhook_public_key": public}}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "events", "--port", str(port)],
        env={**os.environ, "AIRFLOW_CONN_SENDGRID_DEFAULT": json.dumps(connection)},
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("The webhook service did not start: try `python -m events`.")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False


def post(port: int, calls: Sequence[tuple[bytes, Mapping[str, str]]]) -> float:
    """Posts the calls over a few connections; the seconds until the last one was thanked. Raises `RuntimeError`."""

    def post_some(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for body, headers in calls[first::CONNECTIONS]:
            connection.request("POST", "/events/sendgrid", body, dict(headers))
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"The webhook service answered {answer.status} to a signed call.")
        connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        began = time.perf_counter()
        list(pool.map(post_some, range(CONNECTIONS)))
        return time.perf_counter() - began


def copy(url: str, rows: Mapping[str, bytes]) -> float:
    """Copies the rows into the empty twins of the tables; seconds, commit included."""
    with psycopg.connect(url) as connection:
        began = time.perf_counter()
        with connection.cursor() as cursor:
            for table, binary in rows.items():
                statement = sql.SQL("copy {} from stdin (format binary)").format(sql.Identifier("bench", table))
                with cursor.copy(statement) as target:
                    target.write(binary)
        connection.commit()
        return time.perf_counter() - began


def _rows(url: str) -> dict[str, bytes]:
    found = {}
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for table in TABLES:
            statement = sql.SQL("copy {} to stdout (format binary)").format(sql.Identifier("events", table))
            with cursor.copy(statement) as source:
                found[table] = b"".join(source)
    return found


def _compare(url: str) -> None:
    """Raises `RuntimeError` unless both sides hold the same number of rows, and every event that was posted."""
    with psycopg.connect(url) as connection:
        for table in TABLES:
            ours, bare = (
                connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))).fetchall()
                for schema in ("events", "bench")
            )
            if ours != bare or not ours[0][0]:
                raise RuntimeError(f"events.{table} has {ours[0][0]:,} rows, the COPY {bare[0][0]:,}.")


def _make_tables(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create schema bench")
        for table in TABLES:
            connection.execute(
                sql.SQL("create table {} (like {} including all)").format(
                    sql.Identifier("bench", table), sql.Identifier("events", table)
                )
            )


def _empty(url: str, schema: str) -> None:
    """Past the guards that let nothing be removed, which a benchmark's own database may do without."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        for table in TABLES:
            connection.execute(sql.SQL("truncate {}").format(sql.Identifier(schema, table)))
        connection.execute("checkpoint")


def _signed(key: ec.EllipticCurvePrivateKey, items: Sequence[Mapping[str, Any]]) -> tuple[bytes, dict[str, str]]:
    body, timestamp = json.dumps(items).encode(), str(int(time.time()))
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return body, {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }


def _batch(number: int) -> list[dict[str, Any]]:
    dice = random.Random(number)  # noqa: S311 - sample data from a seed
    names = dice.choices(list(SHARES), list(SHARES.values()), k=EVENTS)
    return [_item(dice, name, number * EVENTS + place) for place, name in enumerate(names)]


def _item(dice: random.Random, name: str, number: int) -> dict[str, Any]:
    """An event with the fields that SendGrid's reference of the Event Webhook shows for its type."""
    sent = f"{dice.getrandbits(128):032x}"[:22]
    item: dict[str, Any] = {
        "email": f"person{number}@example.com",
        "timestamp": 1_791_000_000 + number // 50,
        "smtp-id": f"<{sent}@geopod-ismtpd-1>",
        "event": name,
        "category": ["winback", "day30"],
        "sg_event_id": base64.urlsafe_b64encode(dice.randbytes(16)).decode().rstrip("="),
        "sg_message_id": f"{sent}.recvd-5645d9c87f-78xkw-1-{number:X}-3.0",
        "message_id": str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        "campaign": "winback",
        "step": "day30",
    }
    more: dict[str, dict[str, Any]] = {
        "delivered": {"response": f"250 2.0.0 OK  {1_791_000_000 + number} {sent[:13]}si1234567.12 - gsmtp"},
        "open": {"useragent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0", "ip": "192.0.2.1"},
        "click": {"useragent": "Mozilla/5.0", "ip": "192.0.2.1", "url": f"https://shop.example.com/products/{number}"},
        "bounce": {"reason": "550 5.1.1 The account does not exist.", "status": "5.1.1", "type": "bounce"},
        "deferred": {"response": "451 4.7.1 Try again later", "attempt": "3"},
    }
    return {**item, **more.get(name, {})}
