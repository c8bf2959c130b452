"""Shops in which everybody lapsed on one day and is written to through one channel: what the dispatcher is measured on.

Their contacts are decided about by dbt and enqueued by `winback enqueue`, with the shipped campaign cut to one step, so
that the ledger in front of the senders is the real one: decisions, messages, codes, consents.
"""

from __future__ import annotations

import base64
import json
import shutil
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ruamel.yaml import YAML

from bench import server
from bench.history import LAST_DAY, settle, start_of, vouch
from bench.measure import command, say
from warehouse import settings

DAYS_AWAY = 60
HOLDER = "bench"
PROMOTION = "winback_discount10"
STEPS: dict[str, dict[str, Any]] = {
    "email": {"key": "day60", "requires": ["consent_email"], "promotion": PROMOTION, "template": "discount10"},
    "sms": {"key": "day60", "requires": ["consent_sms"], "promotion": PROMOTION, "template": "discount10"},
    "webpush": {"key": "day60", "requires": [], "template": "bestsellers", "link": "/bestsellers"},
}
"""Channel -> the campaign's only step."""


@dataclass(frozen=True)
class Outgoing:
    """A database full of planned messages."""

    name: str
    url: str
    channel: str
    run_id: uuid.UUID
    clock: datetime
    """When its run was made, in business time."""
    until: datetime
    """When its sending hours are over."""
    messages: int


def lapsed(url: str, contacts: int, channel: str) -> None:
    """Contacts who bought once, `DAYS_AWAY` days before `LAST_DAY`, and can be reached through one channel."""
    bought = start_of(LAST_DAY - timedelta(days=DAYS_AWAY)) + timedelta(hours=12)
    values = {"contacts": contacts, "bought": bought, "email": channel == "email", "sms": channel == "sms"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        for statement in (
            """
            insert into raw.contacts (
                contact_id, email, phone, first_name, country, timezone, consent_email, consent_email_at,
                consent_email_source, consent_email_text_version, consent_sms, consent_sms_at, consent_sms_source,
                consent_sms_text_version, created_at, updated_at
            )
            select n::text, 'c' || n || '@example.com',
                case when %(sms)s then '+10' || lpad(n::text, 9, '0') end, 'Sam', 'US', 'America/New_York',
                %(email)s, c.at, 'checkout', 'v1', %(sms)s, c.at, 'checkout', 'v1', c.at, c.at
            from generate_series(1, %(contacts)s) n, (select %(bought)s::timestamptz - interval '1 day') as c (at)
            """,
            """
            insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)
            select 'o' || n, n::text, o.at, 'completed', 20, 'USD', o.at
            from generate_series(1, %(contacts)s) n,
                lateral (select %(bought)s::timestamptz + interval '1 ms' * (n %% 3600000)) as o (at)
            """,
        ):
            connection.execute(statement, values)
        if channel == "webpush":
            _subscribe(connection, contacts, bought)
        vouch(connection, LAST_DAY)


def _subscribe(connection: psycopg.Connection, contacts: int, at: datetime) -> None:
    """One browser each, with a key pair of its own: what it costs to read a key is in what is measured."""
    statement = "copy raw.web_push_subscriptions (endpoint, contact_id, p256dh, auth, subscribed_at) from stdin"
    with connection.cursor().copy(statement) as copy:
        for number in range(1, contacts + 1):
            point = ec.generate_private_key(ec.SECP256R1()).public_key()
            key = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            secret = uuid.uuid5(uuid.NAMESPACE_OID, str(number)).bytes
            copy.write_row((f"https://push.example.com/{number}", str(number), _base64(key), _base64(secret), at))


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def load_codes(url: str, codes: int) -> None:
    """A pool of codes."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into raw.coupon_codes (promotion, code, loaded_at)"
            " select %(promotion)s, upper(%(promotion)s) || '-' || lpad(n::text, 9, '0'), '2000-01-01'"
            " from generate_series(1, %(codes)s) n",
            {"promotion": PROMOTION, "codes": codes},
        )


def build(url: str, **environment: str) -> uuid.UUID:
    """Decides `LAST_DAY` and marks it validated as the gate does; the gate itself is not what is measured."""
    from outbox import runs
    from outbox.sql import ledger, queries

    settle(url)
    server.use(url)
    child = command("build", "--as-of", LAST_DAY.isoformat(), WINBACK_HOLDER=HOLDER, **environment)
    run_id = uuid.UUID(json.loads(child.output.splitlines()[-1])["run_id"])
    say(f"built in {child.wall:.0f} s by the clock")
    with ledger() as desk:
        totals = queries.handoff_totals(desk, run_id=run_id)
        runs.mark_validated(
            desk,
            run_id,
            request_count=totals["request_count"],
            request_checksum=totals["request_checksum"],
            verdict={"winback": {"result": "passed"}},
        )
    settle(url)
    return run_id


def outgoing(channel: str, contacts: int) -> Outgoing:
    """A database `bench_outgoing_<channel>` with about nine tenths of `contacts` planned: the others are held out."""
    name = f"bench_outgoing_{channel}"
    url = server.database(name)
    say(f"{contacts:,} contacts who bought {DAYS_AWAY} days ago, reached by {channel}")
    lapsed(url, contacts, channel)
    load_codes(url, contacts)
    run_id = build(url, WINBACK_CAMPAIGNS=str(_campaign(channel)))
    answer = json.loads(command("enqueue", "--run", str(run_id), WINBACK_HOLDER=HOLDER).output.splitlines()[-1])
    settle(url)
    with psycopg.connect(url) as connection:
        row = connection.execute("select clock from outbox.run where run_id = %s", [run_id]).fetchone()
    assert row is not None
    until = start_of(LAST_DAY) + timedelta(hours=18)
    return Outgoing(name, url, channel, run_id, row[0], until, answer["messages"])


def _campaign(channel: str) -> Path:
    """The shipped campaign with one step, through one channel."""
    folder = server.home() / "campaigns" / channel
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(settings.read().campaigns, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    yaml = YAML(typ="safe", pure=True)
    file = folder / "winback.yml"
    definition = yaml.load(file.read_text())
    definition["steps"] = [{**STEPS[channel], "after_days": DAYS_AWAY, "channels": [channel]}]
    with file.open("w") as stream:
        yaml.dump(definition, stream)
    return folder
