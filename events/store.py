"""Inserts into `events`, and nothing else: the role can neither read nor change a row.

Every statement inserts a whole call's rows at once and passes over keys that are there already, so that a replay adds
nothing.
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

INSERT_CALL = """
insert into events.webhook_call (call_id, provider, received_at, verdict, reason, headers, body, body_sha256)
values (%s, %s, %s, %s, %s, %s::jsonb, %s, %s)
on conflict do nothing
"""
INSERT_DELIVERIES = """
insert into events.delivery_event
    (call_id, received_at, event_key, provider, channel, message_id, provider_message_id, kind, code, detail,
     address_fault, occurred_at)
select %s::uuid, %s::timestamptz, item.*
from unnest(
    %s::text[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::timestamptz[]
) as item
on conflict do nothing
"""
INSERT_ENGAGEMENTS = """
insert into events.engagement_event
    (call_id, received_at, event_key, provider, channel, message_id, provider_message_id, kind, is_machine, url,
     occurred_at)
select %s::uuid, %s::timestamptz, item.*
from unnest(
    %s::text[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::boolean[], %s::text[], %s::timestamptz[]
) as item
on conflict do nothing
"""
INSERT_PREFERENCES = """
insert into events.preference
    (call_id, received_at, event_key, message_id, channel, address_hash, kind, until, source, occurred_at)
select
    %s::uuid, %s::timestamptz, event_key, message_id, channel, outbox.address_hash(channel, address), kind, until,
    source, occurred_at
from unnest(
    %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::timestamptz[]
) as item (event_key, message_id, channel, address, kind, until, source, occurred_at)
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


class Store:
    """A few connections of the webhook role, opened when they are needed. Safe for many threads."""

    def __init__(self, size: int = 8) -> None:
        self._places = threading.BoundedSemaphore(size)
        self._idle: list[psycopg.Connection] = []

    def keep(self, call: Call, events: Sequence[Event] = ()) -> None:
        """Keeps the call, then its events in one transaction. Raises `psycopg.Error`, `WinbackError`."""
        body = hashlib.sha256(call.body).digest()
        row = (call.call_id, call.provider, call.received_at, call.verdict.value, _clean(call.reason))
        headers = json.dumps({name: _clean(text) for name, text in call.headers.items()})
        self._run(lambda connection: connection.execute(INSERT_CALL, (*row, headers, call.body, body)))
        self.add(events, call_id=call.call_id, received_at=call.received_at)

    def add(self, events: Sequence[Event], *, call_id: uuid.UUID, received_at: datetime) -> None:
        """Adds the events that are not there yet, all of them or none."""
        if not events:
            return
        # In the order of their keys: two calls with the same events then wait for each other instead of deadlocking.
        rows = sorted(events, key=lambda event: event.event_key)
        statements = [
            (INSERT_DELIVERIES, [_delivery(event) for event in rows if isinstance(event, DeliveryEvent)]),
            (INSERT_ENGAGEMENTS, [_engagement(event) for event in rows if isinstance(event, EngagementEvent)]),
            (INSERT_PREFERENCES, [_preference(event) for event in rows if isinstance(event, Preference)]),
        ]

        def insert(connection: psycopg.Connection) -> None:
            with connection.transaction():
                for statement, values in statements:
                    if values:
                        connection.execute(statement, (call_id, received_at, *map(list, zip(*values, strict=True))))

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
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    connection.close()
                    if fresh:
                        raise
                    continue  # the server was restarted meanwhile; every insert may be repeated
                except BaseException:
                    connection.close()
                    raise
                self._idle.append(connection)
                return


def _delivery(event: DeliveryEvent) -> tuple[Any, ...]:
    texts = (_clean(event.provider_message_id), event.kind.value, _clean(event.code), _clean(event.detail))
    ours = (_clean(event.event_key), event.provider, event.channel, event.message_id)
    return (*ours, *texts, event.address_fault, event.occurred_at)


def _engagement(event: EngagementEvent) -> tuple[Any, ...]:
    ours = (_clean(event.event_key), event.provider, event.channel, event.message_id)
    return (
        *ours,
        _clean(event.provider_message_id),
        event.kind.value,
        event.is_machine,
        _clean(event.url),
        event.occurred_at,
    )


def _preference(event: Preference) -> tuple[Any, ...]:
    ours = (_clean(event.event_key), event.message_id, event.channel, _clean(event.address))
    return (*ours, event.kind, event.until, event.source, event.occurred_at)


def _clean(text: str | None) -> str | None:
    """What PostgreSQL can keep as text: no NUL, no half of a surrogate pair; JSON can hold both."""
    return None if text is None else text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
