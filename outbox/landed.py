"""Which days of `raw.provider_events` hold rows that have not been read yet.

Its rows carry the time at which somebody else received them, and a loader may bring them days later, behind anything
that goes by the newest. So rows are counted by day, and a day with another count than when it was read is read again:
what is known already adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import psycopg

from outbox.sql import queries


def read_changed(
    connection: psycopg.Connection, counts: Mapping[date, int], read: Callable[[date], object]
) -> list[date]:
    """Calls `read` with each day (UTC) whose count differs from the remembered one, oldest first, and returns them.

    `counts` are taken before reading: what lands meanwhile makes its day differ again. A day is remembered once it
    was read; commits each.
    """
    known = {row["day"]: row["calls"] for row in queries.landed_days(connection)}
    changed = sorted(day for day, calls in counts.items() if known.get(day) != calls)
    for day in changed:
        read(day)
        queries.remember_landed(connection, days=[day], calls=[counts[day]])
    return changed
