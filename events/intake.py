"""Folds in webhooks that landed in `raw.provider_events` by other means, where no endpoint may be public.

They go through the same parsers and get the same keys, so that an event that came both ways is there once. Their
signatures are not checked again: whoever may write that table is trusted by the warehouse's own rights. `headers` may
carry `url`, the address that Twilio called, for its `message_id`.

Whoever lands rows may err: headers that are no object are read as none, and a row whose time nothing can be done with
(infinity, a year that has five digits) is kept as malformed. Neither ends a dispatch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

import psycopg
from psycopg import sql
from psycopg.rows import class_row, tuple_row

from events import calls
from events.store import REFUSED_VALUES, Brought, Call, Store
from senders.contract import Event, Unreadable, Verdict, WebhookCall
from senders.sendgrid import events as sendgrid
from senders.twilio import events as twilio

log = logging.getLogger("winback.events")
ROWS_AT_ONCE = 500
EVENTS_AT_ONCE = 5_000
"""How many go into one statement, or a few more: as many as the call that completes them."""
CALLS = uuid.UUID("6f0f3f0e-6f57-4c53-9a55-0b6b1d2a2c11")
"""The name space of the call ids made here: the same row always gets the same one."""

PARSERS: Mapping[str, Callable[[WebhookCall], list[Event]]] = {
    sendgrid.PROVIDER: sendgrid.parse,
    twilio.PROVIDER: twilio.parse,
}

POSSIBLE = sql.SQL("(received_at >= '0001-01-02 00:00+00' and received_at < '9999-12-31 00:00+00')")
"""A time that has a day, and that day a next one. Written with literals, so that an index serves both ends."""
LANDED = """
select coalesce(provider, '') as provider, case when {possible} then received_at end as received_at,
    received_at::text as written, clock_timestamp() as read_at, headers, coalesce(body::text, '') as body
from {table}
where {which}
order by {table}.received_at
"""
SPAN = sql.SQL("received_at >= %s and (%s::timestamptz is null or received_at < %s)")
COUNTS = """
select case when {possible} then (received_at at time zone 'UTC')::date else %s end as day, count(*) as calls
from {table}
where %s::timestamptz is null or received_at >= %s or received_at < '0001-01-02 00:00+00'
group by 1
"""
FURTHEST = """
select greatest(
    date_trunc('day', coalesce(max(received_at), %(newest)s::timestamptz) - %(horizon)s, 'UTC'),
    '0001-01-02 00:00+00'
) as since
from {table}
where received_at <= %(newest)s::timestamptz
"""
HORIZON = timedelta(days=60)
"""How far behind the newest row days are counted at each look, so that it costs the same for ever."""
AHEAD = timedelta(days=1)
"""How far ahead of the clock a row may be and still pass for the newest one: clocks and zones differ by less. One row
dated 2099 would otherwise leave every real day behind the horizon."""
IMPOSSIBLE = date.max
"""The day under which rows are counted whose time has none."""
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
    received_at: datetime | None
    """None: there is no such time."""
    written: str
    """The same, in PostgreSQL's words."""
    read_at: datetime
    headers: object
    body: str


def horizon(connection: psycopg.Connection, *, clock: datetime, table: tuple[str, str] = TABLE) -> datetime:
    """The beginning of the day (UTC) that lies `HORIZON` before the newest row that `clock`, the business time, allows.

    Raises `psycopg.Error`.
    """
    statement = sql.SQL(FURTHEST).format(table=sql.Identifier(*table))
    found = connection.cursor(row_factory=tuple_row).execute(statement, {"newest": clock + AHEAD, "horizon": HORIZON})
    since: datetime = found.fetchall()[0][0]
    return since


def count_days(
    connection: psycopg.Connection, *, since: datetime | None, table: tuple[str, str] = TABLE
) -> dict[date, int]:
    """Day of `received_at` in UTC -> rows, from `since`, the beginning of a day; None: from the first row.

    Rows with times that have no day are counted under `IMPOSSIBLE`. Raises `psycopg.Error`.
    """
    statement = sql.SQL(COUNTS).format(possible=POSSIBLE, table=sql.Identifier(*table))
    return dict(connection.cursor(row_factory=tuple_row).execute(statement, [IMPOSSIBLE, since, since]).fetchall())


def fold_day(
    connection: psycopg.Connection,
    day: date,
    *,
    table: tuple[str, str] = TABLE,
    stopping: Callable[[], bool] = lambda: False,
) -> Folded:
    """Adds the events of the rows that `count_days` counts under `day`, as `fold_provider_events` does."""
    if day == IMPOSSIBLE:
        which = sql.SQL("{} is not true").format(POSSIBLE)
        return _fold_rows(connection, _landed(table, which), [], None, stopping)
    start = datetime.combine(day, time(), UTC)
    return fold_provider_events(connection, start, until=start + timedelta(days=1), table=table, stopping=stopping)


def fold_provider_events(
    connection: psycopg.Connection,
    since: datetime,
    store: Store | None = None,
    *,
    until: datetime | None = None,
    table: tuple[str, str] = TABLE,
    stopping: Callable[[], bool] = lambda: False,
) -> Folded:
    """Adds the events of every row received at or after `since` (and before `until`), and says how many there were.

    `connection` needs to read `table`, schema and name (the sender role may, of the default). A row that cannot be read
    is kept as a malformed call and hinders no other. `stopping` is asked every few hundred rows: true ends it there.
    Raises `psycopg.Error`.
    """
    return _fold_rows(connection, _landed(table, SPAN), [since, until, until], store, stopping)


def _landed(table: tuple[str, str], which: sql.Composable) -> sql.Composed:
    return sql.SQL(LANDED).format(possible=POSSIBLE, table=sql.Identifier(*table), which=which)


def _fold_rows(
    connection: psycopg.Connection,
    statement: sql.Composed,
    values: Sequence[object],
    store: Store | None,
    stopping: Callable[[], bool],
) -> Folded:
    kept = store or Store(size=1)
    folded = Folded()
    try:
        for rows in _batches(connection, statement, values):
            if stopping():
                break
            folded = _fold(rows, kept, folded)
    finally:
        if store is None:
            kept.close()
    return folded


def _batches(
    connection: psycopg.Connection, statement: sql.Composed, values: Sequence[object]
) -> Iterator[list[_Landed]]:
    with connection.transaction(), connection.cursor("landed", row_factory=class_row(_Landed)) as cursor:
        cursor.execute(statement, values)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield rows


def _fold(rows: Sequence[_Landed], store: Store, folded: Folded) -> Folded:
    """Adds the events of some rows, so many at a time."""
    waiting, size = list[tuple[_Landed, Brought]](), 0
    for row in rows:
        body = row.body.encode("utf-8", "replace")
        when = row.received_at.isoformat() if row.received_at else row.written
        call_id = uuid.uuid5(CALLS, f"{row.provider}|{when}|{hashlib.sha256(body).hexdigest()}")
        folded = replace(folded, calls=folded.calls + 1, latest=row.received_at or folded.latest)
        events, why = calls.read(partial(_parse, row), _call(row, body))
        brought = Brought(call_id, row.received_at or row.read_at, events)
        if why is not None:
            folded = _keep(row, brought, why, store, folded)
            continue
        waiting.append((row, brought))
        size += len(events)
        folded = replace(folded, events=folded.events + len(events))
        if size >= EVENTS_AT_ONCE:
            folded, waiting, size = _add(waiting, store, folded), [], 0
    return _add(waiting, store, folded)


def _add(waiting: Sequence[tuple[_Landed, Brought]], store: Store, folded: Folded) -> Folded:
    """All in one statement a kind; where the database refuses a value, row by row, so that it hinders no other."""
    try:
        store.add([brought for _, brought in waiting])
    except REFUSED_VALUES as error:
        if len(waiting) > 1:
            for each in waiting:
                folded = _add([each], store, folded)
            return folded
        ((row, brought),) = waiting
        folded = replace(folded, events=folded.events - len(brought.events))
        return _keep(row, brought, f"the database refuses a value of it ({type(error).__name__})", store, folded)
    return folded


def _keep(row: _Landed, brought: Brought, why: str, store: Store, folded: Folded) -> Folded:
    reason = f"A row of raw.provider_events cannot be read: {why}."
    log.warning("%s Kept as %s.", reason, brought.call_id)
    body = row.body.encode("utf-8", "replace")
    call = Call(row.provider[:60], brought.received_at, Verdict.MALFORMED, {}, body, reason, brought.call_id)
    store.keep(call)
    return replace(folded, unreadable=folded.unreadable + 1)


def _call(row: _Landed, body: bytes) -> WebhookCall:
    url = str(row.headers.get("url") or "") if isinstance(row.headers, dict) else ""
    at = row.received_at or row.read_at
    return WebhookCall({}, body, url, at, at)


def _parse(row: _Landed, call: WebhookCall) -> list[Event]:
    if row.provider not in PARSERS:
        raise Unreadable(f"the provider is one of {', '.join(PARSERS)}, not {row.provider[:60]!r}")
    if row.received_at is None:
        raise Unreadable(
            f"its received_at is {row.written}, and a time between the years 1 and 9999 is expected; nothing of it was "
            "counted: land it again with the time at which it was received"
        )
    return PARSERS[row.provider](replace(call, body=_as_batch(row.provider, call.body)))


def _as_batch(provider: str, body: bytes) -> bytes:
    """Some loaders land SendGrid's array item by item: an object by itself is read as an array of one."""
    if provider != sendgrid.PROVIDER or not body.lstrip().startswith(b"{"):
        return body
    try:
        return json.dumps([json.loads(body)]).encode()
    except (ValueError, RecursionError):
        return body
