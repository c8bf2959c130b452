"""The brake: a campaign of whose messages too many fail on a channel is not sent for there, by no process, for a while.

It is computed from the attempts themselves, so it outlives the process that met the failures and holds for every other
one. It lets go by itself, once the failures lie further back than its window.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from outbox.sql import queries
from senders.contract import Outcome, OutcomeKind
from warehouse.clock import shown


@dataclass(frozen=True)
class Limits:
    """A campaign's `errors`."""

    stop_percent: int = 20
    """More than so many of a hundred messages failed (unknown or rejected, the address not to blame)."""
    of_at_least: int = 200
    """Of so many messages at least."""
    within_minutes: int = 60
    """Which were answered so lately."""

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Limits:
        """The limits of a campaign's document; the defaults where it was stored before there were any."""
        return cls(**(definition.get("errors") or {}))

    @property
    def failures(self) -> int:
        """Fewer failures than this stop nothing."""
        return max(1, self.stop_percent * self.of_at_least // 100)


@dataclass(frozen=True)
class Failing:
    """A share of failures that is too large."""

    campaign: str
    channel: str
    failed: int
    messages: int
    """Those that failed among them."""
    limits: Limits
    until: datetime
    """When the last of the failures is out of the window: then it is tried again."""

    @property
    def what(self) -> str:
        """Campaign and channel, for a subject."""
        return f"{self.campaign} {self.channel}"

    def __str__(self) -> str:
        return (
            f"{self.campaign} stopped itself on {self.channel}: {self.failed:,} of the last {self.messages:,} messages "
            f"failed ({100 * self.failed // self.messages} %; its limit is {self.limits.stop_percent} % within "
            f"{self.limits.within_minutes} minutes). What was not sent stays planned, and is tried again by "
            f"{shown(self.until)} at the latest; what may have left is in doubt and is not. Once the cause is mended, "
            "a higher errors.stop_percent in the campaign's file lets the next run's messages go at once."
        )


class Watch:
    """What one process knows of shares of failures: which it met, and when to look again. Safe for many threads."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Failing] = {}
        self._failed: Counter[tuple[str, str]] = Counter()
        self._looked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, campaign: str, channel: str, outcomes: Iterable[Outcome]) -> None:
        """Notes what failed here."""
        failed = sum(outcome.kind in (OutcomeKind.UNKNOWN, OutcomeKind.REJECTED) for outcome in outcomes)
        with self._lock:
            self._failed[campaign, channel] += failed

    def is_due(self, campaign: str, channel: str, limits: Limits) -> bool:
        """Whether as many failed since the last look as could make a share too large. Answers yes once for them."""
        which = (campaign, channel)
        with self._lock:
            is_due = self._failed[which] - self._looked[which] >= limits.failures
            if is_due:
                self._looked[which] = self._failed[which]
            return is_due

    def hold(self, found: Failing) -> None:
        """Nothing of it is to be claimed until then."""
        with self._lock:
            self._held[found.campaign, found.channel] = found

    def holds(self, campaign: str, channel: str, now: datetime) -> bool:
        """Whether nothing of it may be claimed at `now`."""
        with self._lock:
            found = self._held.get((campaign, channel))
        return found is not None and found.until > now

    def held(self) -> list[Failing]:
        """Everything that was held in this process, the newest of each."""
        with self._lock:
            return list(self._held.values())

    def has_failed(self, found: Failing) -> bool:
        """Whether any of it failed in this process, and not only before it."""
        with self._lock:
            return self._failed[found.campaign, found.channel] > 0


def failing(
    connection: psycopg.Connection, campaign: str, channel: str, limits: Limits, *, clock: datetime
) -> Failing | None:
    """What is too much of what a campaign's messages met on a channel lately; None: go on."""
    window = timedelta(minutes=limits.within_minutes)
    row = queries.error_share(
        connection,
        campaign=campaign,
        channel=channel,
        since=clock - window,
        clock=clock,
        percent=limits.stop_percent,
        least=limits.of_at_least,
    )
    messages = row["failed"] + row["taken"]
    if messages < limits.of_at_least or row["failed"] * 100 <= limits.stop_percent * messages:
        return None
    return Failing(campaign, channel, row["failed"], messages, limits, row["last_at"] + window)
