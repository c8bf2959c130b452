"""The dispatcher: claim, send, record, until nothing is due.

Live, one pass over what is due now. Simulated, the clock steps through the instants at which something becomes
due, and the sandbox is
told each of them before it.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

from outbox import brakes, claims, notices, outcomes, runs
from outbox.claims import Group, Shard
from outbox.lanes import LONGEST_REST, SMALL_BATCH, Lane, SenderFactory
from outbox.shared import Shared
from outbox.sql import ledger, queries
from senders import registry
from senders.contract import UNREACHABLE
from warehouse.clock import Clock, shown
from warehouse.errors import WinbackError
from warehouse.machine import elapsed

CONNECTIONS = 4
"""Lanes a process works with, unless told otherwise."""
HELD_TRIES, HELD_SECONDS = 10, 0.2
"""How often, and after how long each time, a pass looks again at what is due and in other workers' hands."""
LINGER = timedelta(seconds=60)
"""How long a live pass waits for a provider that asked for a pause; a longer one is left to the next dispatch."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Unreachable:
    """A provider that nobody could reach. Its messages are planned as before and tried again by every dispatch."""

    channel: str
    why: str
    """In the sender's words."""
    waiting: int
    """Messages."""
    first_expires: datetime
    """When the first of them is too late to be sent."""

    def __str__(self) -> str:
        vendor, conn_id = registry.VENDORS.get(self.channel, (self.channel, f"{self.channel}_default"))
        several = f"{self.waiting:,} messages wait for it, none of them has left."
        return (
            f"{self.channel} through {vendor}: {self.why} "
            f"{several if self.waiting > 1 else '1 message waits for it, it has not left.'} Nothing is lost until "
            f"{shown(self.first_expires)}, when the first is too late; every dispatch tries again. Check the "
            f"connection {conn_id} (its host), the way out of this network, and the provider's own status page."
        )


@dataclass(frozen=True)
class PutOff:
    """What a provider that could not be reached still owes, between two tries."""

    channel: str
    waiting: int
    """Messages."""
    since: datetime
    """When the first of them found nobody."""
    next_try: datetime

    def __str__(self) -> str:
        vendor, _ = registry.VENDORS.get(self.channel, (self.channel, ""))
        return (
            f"{self.waiting:,} {'messages wait' if self.waiting > 1 else 'message waits'} for {vendor} "
            f"({self.channel}), unreachable since {shown(self.since)}; next try {shown(self.next_try)}."
        )


@dataclass(frozen=True)
class Resting:
    """What a provider that asked to be left alone still owes."""

    channel: str
    waiting: int
    """Messages."""
    until: datetime

    def __str__(self) -> str:
        vendor, _ = registry.VENDORS.get(self.channel, (self.channel, ""))
        return (
            f"{self.waiting:,} {'messages wait' if self.waiting > 1 else 'message waits'}: {vendor} ({self.channel}) "
            f"asked to be left alone until {shown(self.until)}."
        )


@dataclass(frozen=True)
class Dispatched:
    """What one dispatch did."""

    totals: Mapping[str, int]
    """State or verdict -> how often: a message that was tried twice counts twice."""
    sent_now: Mapping[str, Mapping[str, int]]
    """Channel -> state -> how often: what became of messages in this dispatch, and of none before it."""
    misconfigured: Mapping[str, str]
    """Channel -> why nothing of it was claimed (or claimed any more)."""
    stopped: frozenset[str]
    """Campaigns that stopped themselves after batches that failed one after the other."""
    unreachable: Mapping[str, Unreachable]
    """Channel -> what waits there because its provider could not be reached to the end of this dispatch."""
    put_off: Mapping[str, PutOff]
    """Channel -> what waits there for its next try, where this dispatch is not the one to raise the alarm."""
    braked: Mapping[str, str] = field(default_factory=dict)
    """Campaign and channel -> why they stopped themselves here: too large a share of the last messages failed."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """The same of those that had stopped before this dispatch, which sent nothing of them."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Campaign and channel -> why the provider refuses a template of theirs; the others were served."""
    resting: Mapping[str, Resting] = field(default_factory=dict)
    """Channel -> what waits there because its provider asked to be left alone, this process or another."""


class Dispatcher:
    """One process's dispatch. `stopping` set (SIGTERM): calls that have begun are finished, nothing more is
    handed over or claimed."""

    def __init__(
        self,
        senders: SenderFactory,
        *,
        shard: Shard = Shard(),  # noqa: B008 - frozen
        connections: int = CONNECTIONS,
        progress: Progress = lambda _: None,
    ) -> None:
        self.shared = Shared()
        self._shard = shard
        self._progress = progress
        self._lanes = [Lane(number, senders, self.shared) for number in range(max(1, connections))]
        self._zone = ZoneInfo("UTC")
        self._told: set[str] = set()
        self._told_groups: set[Group] = set()

    def stop(self) -> None:
        """Finishes the calls that have begun, gives back what was not handed over, and claims nothing more."""
        self.shared.stopping.set()

    def live(self) -> Dispatched:
        """One pass over what is due now, in the database's time."""
        clock = Clock()
        with self._working() as desk:
            self._settle(desk, clock)
            self._pass(desk, clock)
            while (pause := self._pause(clock.now(desk))) is not None and not self.shared.stopping.wait(pause):
                self._pass(desk, clock)
            return self._done(desk, clock)

    def simulated(self, start: datetime, until: datetime, *, tell: Callable[[datetime], None]) -> Dispatched:
        """Steps the clock from `start` through every instant before `until` at which something is due.

        `tell` hears each instant before anything is done at it, and `until` at the end: the sandbox's clock,
        and its webhooks.
        """
        clock = Clock(start)
        with self._working() as desk:
            while True:
                tell(clock.now(desk))
                self._settle(desk, clock)
                self._pass(desk, clock)
                instant = self._next(desk, clock.now(desk), until)
                if instant is None or self.shared.stopping.is_set():
                    break
                clock = clock.at(instant)
            if not self.shared.stopping.is_set():
                clock = clock.at(until)
                tell(until)
            self._settle(desk, clock)
            return self._done(desk, clock)

    def _settle(self, desk: psycopg.Connection, clock: Clock) -> None:
        """What has become known since: dead workers, providers' reports, opt-outs, messages past their end."""
        now = clock.now(desk)
        counts = {
            "swept": claims.sweep(desk, clock=now),
            "reconciled": outcomes.reconcile(desk, clock=now),
            "expired": claims.expire_overdue(desk, clock=now, mode=clock.mode),
        }
        counts["suppressed"], counts["lifted"] = outcomes.fold_preferences(desk)
        self.shared.count({name: count for name, count in counts.items() if count})

    def _pass(self, desk: psycopg.Connection, clock: Clock) -> None:
        """Serves every group that is due, again and again: a rejected message comes back with its next channel.

        What another worker is judging at this moment is its own to finish: looked at a few times more, then left.
        """
        held = 0
        while held < HELD_TRIES:
            now = clock.now(desk)
            due = claims.due_groups(desk, clock=now, mode=clock.mode, shard=self._shard)
            self._leave_alone(desk, {group.channel for group in due}, clock.mode, now)
            going = {group: count for group, count in due.items() if self.shared.may_go(group, now)}
            if not going:
                return
            before = self.shared.picked
            for group, count in going.items():
                picked = self.shared.picked
                if self._is_failing(desk, group, clock.now(desk)):
                    continue
                self._serve(group, count, clock)
                if not held or self.shared.picked > picked:
                    self._report(desk, group, clock)
            held = 0 if self.shared.picked > before else held + 1
            if held and self.shared.stopping.wait(HELD_SECONDS):
                return

    def _leave_alone(self, desk: psycopg.Connection, due: AbstractSet[str], mode: str, now: datetime) -> None:
        """Takes up what providers have asked of other processes, for the channels that have something due."""
        for row in queries.cooldowns(desk, clock=now, mode=mode, longest=LONGEST_REST):
            if row["channel"] in due:
                self.shared.rest(row["channel"], row["until"])

    def _is_failing(self, desk: psycopg.Connection, group: Group, now: datetime) -> bool:
        """Whether too many of the group's last messages failed, in whichever process: then nothing of it is claimed."""
        definition = runs.definition(desk, group.definition_hash)
        self._zone = ZoneInfo(definition["timezone"])
        limits = brakes.Limits.of(definition)
        if found := brakes.failing(desk, group.campaign, group.channel, limits, clock=now):
            self.shared.watch.hold(found)
            self._tell_of_brakes(desk, now)
        return found is not None

    def _day(self, now: datetime) -> date:
        """The day in the campaigns' zone, as every other alert is dated."""
        return now.astimezone(self._zone).date()

    def _tell_of_brakes(self, desk: psycopg.Connection, now: datetime) -> None:
        for found in self.shared.watch.held():
            title = f"{found.campaign} stopped itself on {found.channel}: too many messages fail"
            if title not in self._told:
                self._told.add(title)
                notice = notices.Notice(notices.CAMPAIGN_STOPPED, found.what, self._day(now), title, str(found))
                notices.post(desk, notice, at=now)
                self._progress(title)

    def _serve(self, group: Group, due: int, clock: Clock) -> None:
        lanes = self._lanes[: max(1, math.ceil(due / SMALL_BATCH))]
        with ThreadPoolExecutor(len(lanes)) as pool:
            served = [pool.submit(lane.serve, group, clock=clock, shard=self._shard) for lane in lanes]
            for each in served:
                if each.exception() is not None:
                    self.stop()  # the other lanes finish their calls and give the rest back
        for each in served:
            each.result()

    def _report(self, desk: psycopg.Connection, group: Group, clock: Clock) -> None:
        """A line of progress, and the news that a channel, a template or a campaign is out of service."""
        shared = self.shared
        now = clock.now(desk)
        self._progress(f"{shown(now)}  {group.campaign} {group.channel}  {_in_words(shared.totals)}")
        for channel, why in shared.misconfigured.items():
            if channel not in self._told:
                self._told.add(channel)
                self._progress(f"nothing more is claimed for {channel}: {why}")
        if group in shared.refused and group not in self._told_groups:
            self._told_groups.add(group)
            why = shared.refused[group]
            notice = notices.Notice(
                notices.TEMPLATE_REFUSED,
                group.campaign,
                self._day(now),
                f"{group.campaign}: the provider refuses a template for {group.channel}",
                f"{why} What was planned with this template was not sent; everything else goes on.",
            )
            notices.post(desk, notice, at=now)
            self._progress(f"{notice.title}: {why}")
        self._tell_of_brakes(desk, now)
        for campaign in shared.stopped - self._told:
            self._told.add(campaign)
            notice = notices.Notice(
                notices.CAMPAIGN_STOPPED,
                campaign,
                self._day(now),
                f"{campaign} stopped itself: its batches fail",
                f"Batch after batch of {campaign} failed or was refused, the last through {group.channel}, so "
                "this process stopped sending for it. What was not sent stays planned and is tried again by "
                "the next dispatch; what may have left is in doubt and is not.",
            )
            notices.post(desk, notice, at=now)
            self._progress(notice.title)

    def _next(self, desk: psycopg.Connection, now: datetime, until: datetime) -> datetime | None:
        """The next instant before `until` at which a message is due or a provider can be asked again."""
        due = claims.next_due(desk, clock=now, until=until, mode="simulated", shard=self._shard)
        waits = [*self.shared.cooling.values(), *(found.until for found in self.shared.watch.held())]
        cooled = [instant for instant in waits if now < instant < until]
        return min([*cooled, *([due] if due else [])], default=None)

    def _pause(self, now: datetime) -> float | None:
        """Seconds until a channel that asked for a pause can be asked again, if that is worth waiting for."""
        waits = [(instant - now).total_seconds() for instant in self.shared.cooling.values() if instant > now]
        soon = [seconds for seconds in waits if seconds <= LINGER.total_seconds()]
        return min(soon) + 0.05 if soon else None

    def _done(self, desk: psycopg.Connection, clock: Clock) -> Dispatched:
        shared = self.shared
        by_channel = {channel: dict(states) for channel, states in sorted(shared.by_channel.items())}
        unreachable = {each.channel: each for each in self._unreachable(clock.now(desk), clock.mode, desk)}
        return Dispatched(
            dict(shared.totals),
            by_channel,
            dict(shared.misconfigured),
            frozenset(shared.stopped),
            unreachable,
            {each.channel: each for each in _put_off(desk, clock) if each.channel not in unreachable},
            {found.what: str(found) for found in shared.watch.held() if shared.watch.has_failed(found)},
            {found.what: str(found) for found in shared.watch.held() if not shared.watch.has_failed(found)},
            {f"{group.campaign} {group.channel}": why for group, why in shared.refused.items()},
            {each.channel: each for each in self._resting(clock.now(desk), clock.mode, desk)},
        )

    def _resting(self, now: datetime, mode: str, desk: psycopg.Connection) -> Iterator[Resting]:
        for channel, until in sorted(self.shared.cooling.items()):
            if until > now and channel not in self.shared.unreachable:
                waiting = queries.waiting_on_channel(desk, channel=channel, clock=now, mode=mode)
                if waiting["messages"]:
                    yield Resting(channel, waiting["messages"], until)

    def _unreachable(self, now: datetime, mode: str, desk: psycopg.Connection) -> Iterator[Unreachable]:
        """The channels whose provider could not be reached and that still owe messages; the team is told once a day."""
        for channel, outcome in sorted(self.shared.unreachable.items()):
            waiting = queries.waiting_on_channel(desk, channel=channel, clock=now, mode=mode)
            if not waiting["messages"]:
                continue
            why = outcome.detail or "its provider could not be reached."
            found = Unreachable(channel, why, waiting["messages"], waiting["first_expires"])
            title = f"{channel}: the provider cannot be reached"
            notices.post(
                desk, notices.Notice(notices.PROVIDER_UNREACHABLE, channel, self._day(now), title, str(found)), at=now
            )
            yield found

    @contextmanager
    def _working(self) -> Iterator[psycopg.Connection]:
        """A connection for what is not a lane's, with the leases of everything under way kept alive meanwhile."""
        done = threading.Event()
        workers = [lane.worker for lane in self._lanes]

        def beat() -> None:
            missed = 0
            while not done.wait(claims.LEASE.total_seconds() / 5):
                began = elapsed()
                try:
                    with ledger() as connection:
                        claims.extend(connection, workers)
                    for lane in self._lanes:
                        lane.renewed(began)
                    missed = 0
                except (psycopg.Error, WinbackError) as error:  # the lease outlasts several missed beats
                    missed += 1
                    if missed == 1:
                        self._progress(f"the leases cannot be renewed for now ({type(error).__name__}); tried again")

        heart = threading.Thread(target=beat, name="leases", daemon=True)
        heart.start()
        try:
            with ledger() as desk:
                yield desk
        finally:
            done.set()
            heart.join()
            for lane in self._lanes:
                lane.close()


def _put_off(desk: psycopg.Connection, clock: Clock) -> Iterator[PutOff]:
    for row in queries.put_off(desk, unreachable=UNREACHABLE, clock=clock.now(desk), mode=clock.mode):
        yield PutOff(row["channel"], row["messages"], row["since"], row["next_try"])


def _in_words(totals: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(totals.items())) or "nothing to send"
