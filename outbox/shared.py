"""What the lanes of a process tell each other: a channel whose credentials are refused, a template that is, a channel
that asks for a pause, a campaign whose batches all fail.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from outbox import brakes
from outbox.claims import Group
from outbox.hold import LEASE_LOST, STOPPED
from outbox.pace import Pace
from senders import registry
from senders.contract import TEMPLATE_REFUSED, UNREACHABLE, Outcome, OutcomeKind
from warehouse.errors import Misconfigured

FAILED_BATCHES = 5
"""So many batches in a row of which the provider failed every message stop the campaign in this process."""
REFUSED_MESSAGES = 50
"""So many messages in a row that the provider refused do the same: a few refusals are about their recipients."""


@dataclass
class Shared:
    """What all lanes of a process know. Every change is made under the lock."""

    stopping: threading.Event = field(default_factory=threading.Event)
    """Set: calls that have begun are finished, what has not begun is given back, and nothing more is claimed."""
    totals: Counter[str] = field(default_factory=Counter)
    by_channel: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """The part of the totals that became of messages of a channel."""
    misconfigured: dict[str, str] = field(default_factory=dict)
    """Channel -> what is wrong with it; nothing of it is claimed any more."""
    refused: dict[Group, str] = field(default_factory=dict)
    """Groups whose template the provider refuses -> its words; nothing of them is claimed any more."""
    taken: set[Group] = field(default_factory=set)
    """Groups of which a provider accepted something: their template is good."""
    stopped: set[str] = field(default_factory=set)
    """Campaigns whose batches all failed."""
    unreachable: dict[str, Outcome] = field(default_factory=dict)
    """Channel -> the last outcome of a provider that could not be reached, until it takes a message again."""
    missed: dict[str, set[uuid.UUID]] = field(default_factory=lambda: defaultdict(set))
    """Channel -> messages for which nobody could be reached since one was taken."""
    cooling: dict[str, datetime] = field(default_factory=dict)
    """Channel -> business time before which its provider wants to hear nothing."""
    paces: dict[str, Pace | None] = field(default_factory=dict)
    """Channel -> how fast it may speak; None: as fast as it goes."""
    watch: brakes.Watch = field(default_factory=brakes.Watch)
    """Of the share of failures."""
    failures: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    picked: int = 0
    """Messages that a claim has looked at so far: while it stands still, what is due is in other workers' hands."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, states: Mapping[str, int], channel: str | None = None) -> None:
        """Adds to the totals, and to those of the channel whose messages they are."""
        with self.lock:
            self.totals.update(states)
            if channel is not None and states:
                self.by_channel[channel].update(states)

    def may_go(self, group: Group, now: datetime) -> bool:
        """Whether this group may be claimed in this process at `now`."""
        with self.lock:
            return (
                not self.stopping.is_set()
                and group.channel not in self.misconfigured
                and group not in self.refused
                and group.campaign not in self.stopped
                and not self.cooling.get(group.channel, now) > now
                and not self.watch.holds(group.campaign, group.channel, now)
            )

    def rest(self, channel: str, until: datetime) -> None:
        """The channel's provider wants to be left alone until then, as it has told another process."""
        with self.lock:
            self.cooling[channel] = max(until, self.cooling.get(channel, until))

    def pace(self, channel: str, shards: int) -> Pace | None:
        """The channel's pace, this process's share of it. Raises `Misconfigured` for a limit that is none."""
        with self.lock:
            if channel not in self.paces:
                limit = registry.messages_per_second(channel)
                self.paces[channel] = Pace(limit / shards) if limit else None
            return self.paces[channel]

    def refuse(self, channel: str, error: Misconfigured) -> None:
        """Takes a channel out of service."""
        with self.lock:
            self.misconfigured.setdefault(channel, str(error))

    def learn(
        self, group: Group, told: Mapping[uuid.UUID, Outcome], now: datetime, *, unreachable_after: int = 1
    ) -> None:
        """Counts what fails in a row; notes who cannot be reached, how long a provider wants to be left alone, and
        whose template it refuses. One that was accepted before is not given up: only what was refused waits."""
        told = {each: outcome for each, outcome in told.items() if outcome.error_code not in (STOPPED, LEASE_LOST)}
        if not told:
            return
        waits = [outcome.retry_after for outcome in told.values() if outcome.retry_after]
        kinds = {outcome.kind for outcome in told.values()}
        missed = {message_id: outcome for message_id, outcome in told.items() if outcome.error_code == UNREACHABLE}
        refused = [outcome for outcome in told.values() if outcome.error_code == TEMPLATE_REFUSED]
        campaign = group.campaign
        self.watch.count(campaign, group.channel, told.values())
        with self.lock:
            if waits or OutcomeKind.ACCEPTED in kinds:
                self.unreachable.pop(group.channel, None)
                self.missed.pop(group.channel, None)
            elif missed:
                self.missed[group.channel] |= missed.keys()
                if len(self.missed[group.channel]) >= unreachable_after:
                    self.unreachable[group.channel] = list(missed.values())[-1]
            # Where each recipient names a host of their own, one that is busy is for the sender to leave alone.
            if waits and unreachable_after == 1:
                until = now + max(waits)
                self.cooling[group.channel] = max(until, self.cooling.get(group.channel, until))
            if OutcomeKind.ACCEPTED in kinds:
                self.taken.add(group)
                self.refused.pop(group, None)
            elif refused and group not in self.taken:
                self.refused.setdefault(group, refused[0].detail)
            if OutcomeKind.ACCEPTED in kinds:
                self.failures[campaign] = self.refusals[campaign] = 0
            elif kinds == {OutcomeKind.REJECTED}:
                self.refusals[campaign] += len(told)
            elif OutcomeKind.UNKNOWN in kinds or not (waits or refused):
                self.failures[campaign] += 1
            if self.failures[campaign] >= FAILED_BATCHES or self.refusals[campaign] >= REFUSED_MESSAGES:
                self.stopped.add(campaign)
