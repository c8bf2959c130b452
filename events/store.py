"""Inserts into `events`, and nothing else: the role can neither read nor change a row.

Every statement inserts the rows of a whole call, or of many, at once and passes over keys that are there already, so
that a replay adds nothing.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from senders.contract import DeliveryEvent, EngagementEvent, Event, Preference, Verdict
from warehouse.connect import Role, connect

REFUSED_VALUES = (
    psycopg.DataError,
    psycopg.IntegrityError,
    # Class 54, a key too long for its index among others. psycopg counts it to what goes wrong with a server, but it
    # goes wrong each time.
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
"""What is raised where the database will never take a value."""

INSERT_CALL = """
insert into events.webhook_call (call_id, provider, received_at, verdict, reason, headers, body, body_sha256)
values (%s, %s, %s, %s, %s, %s::jsonb, %b, %b)
on conflict do nothing
"""
INSERT_DELIVERIES = """
insert into events.delivery_event
    (call_id, received_at, event_key, provider, channel, message_id, provider_message_id, kind, code, detail,
     address_fault, occurred_at)
select item.*
from unnest(
    %s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[],
    %s::text[], %s::text[], %s::timestamptz[]
) as item
on conflict do nothing
"""
INSERT_ENGAGEMENTS = """
insert into events.engagement_event
    (call_id, received_at, event_key, provider, channel, message_id, provider_message_id, kind, is_machine, url,
     occurred_at)
select item.*
from unnest(
    %s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[],
    %s::boolean[], %s::text[], %s::timestamptz[]
) as item
on conflict do nothing
"""
INSERT_PREFERENCES = """
insert into events.preference
    (call_id, received_at, event_key, message_id, channel, address_hash, kind, until, source, occurred_at)
select
    call_id, received_at, event_key, message_id, channel, outbox.address_hash(channel, address), kind, until, source,
    occurred_at
from unnest(
    %s::uuid[], %s::timestamptz[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
    %s::text[], %s::timestamptz[]
) as item (call_id, received_at, event_key, message_id, channel, address, kind, until, source, occurred_at)
on conflict do nothing
"""


@dataclass(frozen=True)
class Call:
    """One row of `events.webhook_call`."""

    provider: str
    received_at: datetime
    verdict: Verdict
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    reason: str | None = None
    call_id: uuid.UUID = field(default_factory=uuid.uuid4)
    digest: bytes | None = field(default=None, repr=False)
    """SHA-256 of the body as it came, where `body` is not all of it."""


@dataclass(frozen=True)
class Brought:
    """What one call brought."""

    call_id: uuid.UUID
    received_at: datetime
    events: Sequence[Event] = field(repr=False)


class Store:
    """A few connections of the webhook role, opened when they are needed. Safe for many threads."""

    def __init__(self, size: int = 8) -> None:
        self._places = threading.BoundedSemaphore(size)
        self._idle: list[psycopg.Connection] = []

    def keep(self, call: Call, events: Sequence[Event] = ()) -> None:
        """Keeps the call, then its events in one transaction. Raises `psycopg.Error`, `WinbackError`."""
        digest = call.digest or hashlib.sha256(call.body).digest()
        row = (call.call_id, call.provider, call.received_at, call.verdict.value, _clean(call.reason))
        headers = json.dumps({name: _clean(text) for name, text in call.headers.items()})
        self._run(lambda connection: connection.execute(INSERT_CALL, (*row, headers, call.body, digest)))
        self.add([Brought(call.call_id, call.received_at, events)])

    def add(self, calls: Sequence[Brought]) -> None:
        """Adds what some calls brought and is not there yet, all of it or nothing.

        Raises `psycopg.Error`, `WinbackError`.
        """
        rows = list[tuple[str, str, Event]]()
        for call in calls:
            origin = (call.call_id.hex, call.received_at.isoformat())
            rows.extend((*origin, event) for event in call.events)
        if not rows:
            return
        # In the order of their keys: two calls with the same events then wait for each other instead of deadlocking.
        rows.sort(key=lambda row: row[2].event_key)
        statements = list[tuple[LiteralString, list[str]]]()
        for kind, statement, texts in INSERTS:
            found = [(call_id, at, *texts(event)) for call_id, at, event in rows if type(event) is kind]
            if found:
                statements.append((statement, [array(column) for column in zip(*found, strict=True)]))

        def insert(connection: psycopg.Connection) -> None:
            with connection.transaction():
                for statement, columns in statements:
                    connection.execute(statement, columns)

        self._run(insert)

    def is_reachable(self) -> bool:
        """Whether the warehouse answers."""
        statement: LiteralString = "select 1"
        self._run(lambda connection: connection.execute(statement))
        return True

    def close(self) -> None:
        """Closes what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _run(self, work: Callable[[psycopg.Connection], object]) -> None:
        with self._places:
            while True:
                fresh = not self._idle
                connection = connect(Role.WEBHOOK, autocommit=True) if fresh else self._idle.pop()
                try:
                    work(connection)
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    connection.close()
                    if fresh or isinstance(error, REFUSED_VALUES):
                        raise
                    continue  # the server was restarted meanwhile; every insert may be repeated
                except BaseException:
                    connection.close()
                    raise
                self._idle.append(connection)
                return


def array(values: Sequence[str | None]) -> str:
    """PostgreSQL's text form of an array, one for a whole column: far quicker than adapting value by value.

    Leaves out what PostgreSQL cannot keep as text and JSON can hold: NULs, halves of surrogate pairs. So a NUL is free
    to mark ends and nulls until everything else is escaped.
    """
    inside = "\0,".join(["\0-" if value is None else value.replace("\0", "") for value in values])
    escaped = inside.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace('"', '\\"')
    return f'{{"{escaped}"}}'.replace("\0,", '","').replace('"\0-"', "NULL")


def _delivery(event: DeliveryEvent) -> tuple[str | None, ...]:
    ours = (event.event_key, event.provider, event.channel, _hex(event.message_id), event.provider_message_id)
    return (*ours, event.kind, event.code, event.detail, event.address_fault, event.occurred_at.isoformat())


def _engagement(event: EngagementEvent) -> tuple[str | None, ...]:
    ours = (event.event_key, event.provider, event.channel, _hex(event.message_id), event.provider_message_id)
    return (*ours, event.kind, "t" if event.is_machine else "f", event.url, event.occurred_at.isoformat())


def _preference(event: Preference) -> tuple[str | None, ...]:
    ours = (event.event_key, _hex(event.message_id), event.channel, event.address, event.kind)
    return (*ours, event.until.isoformat() if event.until else None, event.source, event.occurred_at.isoformat())


def _hex(message_id: uuid.UUID | None) -> str | None:
    return message_id.hex if message_id else None


def _clean(text: str | None) -> str | None:
    """What PostgreSQL can keep as text: no NUL, no half of a surrogate pair; JSON can hold both."""
    return None if text is None else text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


INSERTS: Sequence[tuple[type, LiteralString, Callable[[Any], tuple[str | None, ...]]]] = (
    (DeliveryEvent, INSERT_DELIVERIES, _delivery),
    (EngagementEvent, INSERT_ENGAGEMENTS, _engagement),
    (Preference, INSERT_PREFERENCES, _preference),
)
"""How events of each kind are written, as texts in the order of the statement."""
