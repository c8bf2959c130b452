"""Folds in webhooks that landed in `raw.provider_events` by other means, where no endpoint may be public.

They go through the same parsers and get the same keys, so that an event that came both ways is there once. Their
signatures are not checked again: whoever may write that table is trusted by the warehouse's own rights. `headers` may
carry `url`, the address that Twilio called, for its `message_id`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import psycopg
from psycopg import sql
from psycopg.rows import class_row, tuple_row

from events.store import Call, Store
from senders.contract import Event, Unreadable, Verdict, WebhookCall
from senders.sendgrid import events as sendgrid
from senders.twilio import events as twilio

log = logging.getLogger("winback.events")
ROWS_AT_ONCE = 500
CALLS = uuid.UUID("6f0f3f0e-6f57-4c53-9a55-0b6b1d2a2c11")
"""The name space of the call ids made here: the same row always gets the same one."""

PARSERS: Mapping[str, Callable[[WebhookCall], list[Event]]] = {
    sendgrid.PROVIDER: sendgrid.parse,
    twilio.PROVIDER: twilio.parse,
}

LANDED = """
select provider, received_at, headers, body
from {}
where received_at >= %s and (%s::timestamptz is null or received_at < %s)
order by received_at
"""
COUNTS = """
select (received_at at time zone 'UTC')::date as day, count(*) as calls
from {table}
where received_at >= (select max(received_at) from {table}) - %s
group by 1
"""
HORIZON = timedelta(days=60)
"""How far behind the newest row days are counted, so that a look costs the same for ever. What lands later than that is
not read: it is about messages whose time is long over."""
TABLE = ("raw", "provider_events")


@dataclass(frozen=True)
class Folded:
    """What one folding met. Events that were there already are counted, too."""

    calls: int = 0
    events: int = 0
    unreadable: int = 0
    latest: datetime | None = None
    """The newest `received_at`: where the next folding may begin (what lies on it is met again and adds nothing)."""


@dataclass(frozen=True)
class _Landed:
    provider: str
    received_at: datetime
    headers: dict[str, str]
    body: str


def count_days(connection: psycopg.Connection, *, table: tuple[str, str] = TABLE) -> dict[date, int]:
    """Day of `received_at` in UTC -> rows, within the last `HORIZON` before the newest row. Raises `psycopg.Error`."""
    statement = sql.SQL(COUNTS).format(table=sql.Identifier(*table))
    return dict(connection.cursor(row_factory=tuple_row).execute(statement, [HORIZON]).fetchall())


def fold_provider_events(
    connection: psycopg.Connection,
    since: datetime,
    store: Store | None = None,
    *,
    until: datetime | None = None,
    table: tuple[str, str] = TABLE,
) -> Folded:
    """Adds the events of every row received at or after `since` (and before `until`), and says how many there were.

    `connection` needs to read `table`, schema and name (the sender role may, of the default). A row that cannot be read
    is kept as a malformed call and hinders no other. Raises `psycopg.Error`.
    """
    kept = store or Store(size=1)
    folded = Folded()
    try:
        for rows in _batches(connection, since, until, table):
            for row in rows:
                folded = _fold(row, kept, folded)
    finally:
        if store is None:
            kept.close()
    return folded


def _batches(
    connection: psycopg.Connection, since: datetime, until: datetime | None, table: tuple[str, str]
) -> Iterator[list[_Landed]]:
    with connection.transaction(), connection.cursor("landed", row_factory=class_row(_Landed)) as cursor:
        cursor.execute(sql.SQL(LANDED).format(sql.Identifier(*table)), [since, until, until])
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield rows


def _fold(row: _Landed, store: Store, folded: Folded) -> Folded:
    body = row.body.encode("utf-8", "replace")
    name = f"{row.provider}|{row.received_at.isoformat()}|{hashlib.sha256(body).hexdigest()}"
    call_id = uuid.uuid5(CALLS, name)
    try:
        events = _parse(row, body)
    except (Unreadable, RecursionError) as error:
        reason = f"A row of raw.provider_events cannot be read: {error}."
        log.warning("%s Kept as %s.", reason, call_id)
        store.keep(Call(row.provider[:60], row.received_at, Verdict.MALFORMED, {}, body, reason, call_id))
        return replace(folded, calls=folded.calls + 1, unreadable=folded.unreadable + 1, latest=row.received_at)
    store.add(events, call_id=call_id, received_at=row.received_at)
    return replace(folded, calls=folded.calls + 1, events=folded.events + len(events), latest=row.received_at)


def _parse(row: _Landed, body: bytes) -> list[Event]:
    if row.provider not in PARSERS:
        raise Unreadable(f"the provider is one of {', '.join(PARSERS)}, not {row.provider[:60]!r}")
    url, at = str(row.headers.get("url") or ""), row.received_at
    return PARSERS[row.provider](WebhookCall({}, _as_batch(row.provider, body), url, at, at))


def _as_batch(provider: str, body: bytes) -> bytes:
    """Some loaders land SendGrid's array item by item: an object by itself is read as an array of one."""
    if provider != sendgrid.PROVIDER or not body.lstrip().startswith(b"{"):
        return body
    try:
        return json.dumps([json.loads(body)]).encode()
    except (ValueError, RecursionError):
        return body
