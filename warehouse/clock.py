"""The run's clock. It is passed, never read inside models.

*Live*: the database's own time, asked for at each use. *Simulated*: an instant that is told, and moves only
when told. Every business time (accepted, granted, caps, windows) is in it; only attempts' leases are not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import psycopg

from warehouse.machine import elapsed

LIVE = "live"
SIMULATED = "simulated"


@dataclass(frozen=True)
class Clock:
    """`instant` None: live. Otherwise the simulated time, aware."""

    instant: datetime | None = None

    @property
    def mode(self) -> str:
        """`live` or `simulated`, as `outbox.run.mode` has it."""
        return LIVE if self.instant is None else SIMULATED

    def now(self, connection: psycopg.Connection) -> datetime:
        """The business time, aware, UTC. Live: the database's, so that many machines share one."""
        if self.instant is not None:
            return self.instant
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None  # noqa: S101 - a bare select always answers
        now: datetime = row[0]
        return now.astimezone(UTC)

    def read(self, connection: psycopg.Connection) -> tuple[datetime, float | None]:
        """The business time, and `warehouse.machine.elapsed()` at no later a moment, by which it can be carried on.

        None for the second where the clock is simulated: it stands still, however long something takes.
        """
        began = elapsed()
        return self.now(connection), began if self.instant is None else None

    def at(self, instant: datetime) -> Clock:
        """The same clock, moved to `instant` (simulated only)."""
        if self.instant is None:
            raise ValueError("a live clock cannot be moved")
        return replace(self, instant=instant.astimezone(UTC))


def shown(instant: datetime, zone: str = "UTC") -> str:
    """`2017-10-02 05:00 EDT`: an instant as every screen of the command shows it, in the IANA zone.

    Days are shown as they are typed: `2017-10-02`.
    """
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"


def local_time(day: date, at: time, zone: str) -> datetime:
    """`day` at wall time `at` in the IANA zone, as an aware UTC instant.

    A wall time that a DST change skips is taken with the offset before the change, one that it repeats is the first
    of the two (PEP 495, fold=0).
    """
    return datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)
