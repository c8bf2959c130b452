"""Which days of `raw.provider_events` hold rows that have not been read yet.

Its rows carry the time at which somebody else received them, and a loader may bring them days later, behind anything
that goes by the newest. So rows are counted by day, and a day with another count than when it was read is read again:
what is known already adds nothing. Most looks count the last days only; the first one, and one a day, count all of
them, so that an opt-out is met however late it lands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta

import psycopg

from outbox.sql import queries

LANDED_LOCK = 7_305_005
"""Advisory lock (session): the processes of a moment read what landed in turn."""
PATIENCE = timedelta(minutes=1)
"""How long one waits for another that reads. It may be stopped and hold the lock for ever: then both read."""
WATERMARK = "landed"
"""When every day was counted last."""
EVERYTHING_AGAIN = timedelta(days=1)
"""How long after that every day is counted again."""


@contextmanager
def in_turn(connection: psycopg.Connection, *, stopping: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """Waits until nobody else is reading, or for as long as `PATIENCE`; answers whether the others now wait for us.

    Nobody sends before what landed is read, for an opt-out may be among it: by oneself, or by whom one waited for.
    Two who read the same add nothing twice.
    """
    until = time.monotonic() + PATIENCE.total_seconds()
    while not (mine := bool(queries.try_landed_lock(connection, lock=LANDED_LOCK))):
        if time.monotonic() >= until or stopping():
            break
        time.sleep(0.2)
    try:
        yield mine
    finally:
        if mine and not connection.closed:
            queries.free_landed_lock(connection, lock=LANDED_LOCK)


def is_everything_due(connection: psycopg.Connection) -> bool:
    """Whether nothing was read yet, or every day was counted too long ago: this look is to count all of them."""
    return bool(queries.is_everything_landed_due(connection, name=WATERMARK, period=EVERYTHING_AGAIN))


def mark_everything(connection: psycopg.Connection) -> None:
    """Every day was counted, and what had changed was read. Commits."""
    queries.mark_folded(connection, name=WATERMARK)


def read_changed(
    connection: psycopg.Connection,
    counts: Mapping[date, int],
    read: Callable[[date], object],
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> list[date]:
    """Calls `read` with each day (UTC) whose count differs from the remembered one, oldest first, and returns them.

    `counts` are taken before reading: what lands meanwhile makes its day differ again. A day is remembered once it
    was read; commits each. `stopping` true: the day in hand and those after it are left to the next time.
    """
    known = {row["day"]: row["calls"] for row in queries.landed_days(connection)}
    changed: list[date] = []
    for day in sorted(day for day, calls in counts.items() if known.get(day) != calls):
        read(day)
        if stopping():
            break
        queries.remember_landed(connection, days=[day], calls=[counts[day]])
        changed.append(day)
    return changed
