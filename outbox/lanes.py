"""A lane: one thread with its own database connection and its own senders, that claims, sends and records until
its group is empty.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import psycopg

from outbox import brakes, claims, costs, letters, outcomes, runs
from outbox.claims import Claimed, Group, Rules, Shard
from outbox.hold import LEASE_LOST, STOPPED, Hold
from outbox.outcomes import Told
from outbox.pace import Turn
from outbox.shared import Shared
from outbox.sql import ledger, queries
from senders.contract import (
    SMS,
    TEMPLATE_REFUSED,
    Message,
    Outcome,
    OutcomeKind,
    Sender,
    Template,
    TemplateRefused,
    taken_of,
)
from warehouse.clock import Clock
from warehouse.errors import Misconfigured, WinbackError
from warehouse.machine import elapsed

SenderFactory = Callable[[str, Mapping[str, Any]], Sender]
"""Channel and campaign document -> its sender. Raises `Misconfigured`. `senders.registry.Senders` is one."""

SMALL_BATCH = 20
"""What a lane takes at least, where a sender takes messages one by one: a kill leaves so many in doubt at most."""
FILL_SECONDS = 1.0
"""For so long what is open waits until a batch is full, where claims open few: then it goes as it is."""
LONGEST_REST = timedelta(hours=1)
"""For so long at most a provider's word to one process keeps the others from asking for themselves."""
RECORD_FOR = timedelta(minutes=4)
"""How long the recording of outcomes is tried again when the database has gone away: somewhat less than a lease."""
LONGEST_PAUSE = 10.0
"""Seconds between two of these tries: half a second at first, then doubled up to this."""


class Lane:
    """One thread's way from claim to outcome. Not shared between threads."""

    def __init__(self, number: int, senders: SenderFactory, shared: Shared) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{number}:{uuid.uuid4().hex[:6]}"
        self._factory = senders
        self._shared = shared
        self._connection = ledger()
        self._held_at = 0.0
        self._hold = Hold(0.0, shared.stopping)
        self._heard_at: dict[str, float] = {}
        self._rests: dict[str, datetime] = {}
        """Channel -> until when it rests, as this lane has told the other processes."""
        self._mine: set[uuid.UUID] = set()
        """Of the batch in hand, what was this lane's when it was last certain."""
        self._broken: Exception | None = None
        self._senders: dict[tuple[str, str], Sender] = {}
        self._templates: dict[str, Template] = {}
        self._definitions: dict[str, Mapping[str, Any]] = {}

    def close(self) -> None:
        """Gives the connection back."""
        self._connection.close()

    def renewed(self, since: float) -> None:
        """The leases of what this lane has under way were extended, by a statement that began at `since`."""
        self._hold.renew(since)

    def serve(self, group: Group, *, clock: Clock, shard: Shard) -> None:
        """Sends what is due of a group, batch by batch, until nothing is left or the group may not go on."""
        sender = self._sender(group, shard)
        if sender is None:
            return
        pace = self._shared.pace(group.channel, shard.count)
        most = max(sender.batch_size, SMALL_BATCH)
        if pace:
            most = min(most, pace.portion)
        rules = Rules.of(self._definition(group.definition_hash))
        template = self._template(group.template_hash)
        more = True
        while more and self._may_go(group, clock):
            turn = pace.book(most) if pace else None
            if turn and not self._comes_up(turn, group, clock):
                return
            try:
                batch, more = self._take(group, rules, most, clock, shard)
            except Exception as error:
                self._give_back(_not_handed_over(error), clock)
                raise
            if pace and turn:
                pace.give_back(turn, most - len(batch))
            if batch:
                told = list(self._send(group, sender, template, batch, clock))
                self._shared.count(self._record(told, clock), group.channel)
                if self._broken:
                    raise self._broken
                self._tell_others(group.channel, clock)
                self._look_at_share(group, clock)

    def _tell_others(self, channel: str, clock: Clock) -> None:
        """That the channel's provider wants to be left alone, as every process has to know."""
        until = self._shared.cooling.get(channel)
        if until is not None and self._rests.get(channel) != until:
            self._rests[channel] = until
            now = clock.now(self._connection)
            until = min(until, now + LONGEST_REST)
            queries.keep_cooldown(
                self._connection, channel=channel, mode=clock.mode, until=until, clock=now, longest=LONGEST_REST
            )

    def _may_go(self, group: Group, clock: Clock) -> bool:
        """Whether the group may be claimed now, by what other processes know, too: asked once a second."""
        channel = group.channel
        if elapsed() - self._heard_at.get(channel, 0.0) >= 1:
            self._heard_at[channel] = elapsed()
            now = clock.now(self._connection)
            for row in queries.cooldowns(self._connection, clock=now, mode=clock.mode, longest=LONGEST_REST):
                if row["channel"] == channel:
                    self._shared.rest(channel, row["until"])
        return self._shared.may_go(group, clock.now(self._connection))

    def _look_at_share(self, group: Group, clock: Clock) -> None:
        """Asks for the share of failures again once as many have come as could make it too large."""
        limits = brakes.Limits.of(self._definition(group.definition_hash))
        if self._shared.watch.is_due(group.campaign, group.channel, limits):
            now = clock.now(self._connection)
            if found := brakes.failing(self._connection, group.campaign, group.channel, limits, clock=now):
                self._shared.watch.hold(found)

    def _comes_up(self, turn: Turn, group: Group, clock: Clock) -> bool:
        """Waits for a turn; False when the group may not go on any more."""
        stopped = self._shared.stopping.wait(turn.wait)
        return not stopped and self._may_go(group, clock)

    def _take(self, group: Group, rules: Rules, wanted: int, clock: Clock, shard: Shard) -> tuple[list[Claimed], bool]:
        """One batch of at most `wanted` opened attempts, and whether the group may hold more. What is open does not
        wait long for others: whatever changes for its person meanwhile is not looked at again."""
        batch: list[Claimed] = []
        while len(batch) < wanted and not self._shared.stopping.is_set():
            if not batch:
                self._held_at = elapsed()
                self._hold = Hold(self._held_at, self._shared.stopping)
            elif elapsed() - self._held_at > FILL_SECONDS:
                break
            claim = claims.claim(
                self._connection,
                group,
                rules,
                clock=clock.now(self._connection),
                mode=clock.mode,
                shard=shard,
                worker=self.worker,
                size=wanted - len(batch),
            )
            self._shared.count(
                {verdict: count for verdict, count in claim.verdicts.items() if verdict not in ("open", "twin")},
                group.channel,
            )
            if not claim.picked:
                return batch, False
            with self._shared.lock:
                self._shared.picked += claim.picked
            batch += claim.opened
        return batch, True

    def _send(
        self, group: Group, sender: Sender, template: Template, batch: Sequence[Claimed], clock: Clock
    ) -> Iterator[Told]:
        """Sends in slices of what the sender takes. What is not handed over any more provably never left; what kept it
        from that, other than the database, is in `_broken` for whoever has recorded this."""
        rest = iter(batch)
        self._mine = {each.message_id for each in batch}
        spared: Outcome | None = None
        while part := list(islice(rest, sender.batch_size)):
            if spared is None and self._shared.stopping.is_set():
                spared = Outcome(OutcomeKind.NOT_SENT, error_code=STOPPED, retry_after=timedelta())
            answers: dict[uuid.UUID, Outcome] = {}
            messages: list[Message] = []
            try:
                reading, held = clock.read(self._connection), self._still_held(part)
                if spared is None:
                    fields = self._step_fields(group)
                    departure = letters.Departure(group.channel, template, *reading, self._hold.why_not)
                    messages = [
                        letters.complete(each, fields.get(each.step, {}), departure)
                        for each in part
                        if each.message_id in held
                    ]
                    if messages and group.channel == SMS:
                        costs.keep(self._connection, messages, {each.message_id: each for each in part})
            except Exception as error:  # noqa: BLE001 - whatever broke, nothing of this part was handed over
                spared = spared or _not_handed_over(error)
                if not isinstance(error, psycopg.OperationalError):
                    self._broken = error
            if spared is None:
                answers = {each.message_id: _TOO_LATE for each in part if each.message_id not in held}
                if messages:
                    told, spared = self._hand_over(group, sender, messages)
                    self._shared.learn(group, told, reading[0], unreachable_after=sender.unreachable_after)
                    answers.update(told)
            for each in part:
                yield Told(each.message_id, each.attempt_no, answers.get(each.message_id) or spared or _UNANSWERED)

    def _still_held(self, part: Sequence[Claimed]) -> set[uuid.UUID]:
        """Those that nobody can have swept; the database is asked, about the whole batch, once time has passed since
        that was certain."""
        began = elapsed()
        if began - self._held_at >= claims.LEASE.total_seconds() / 5:
            self._mine = claims.confirm(self._connection, list(self._mine), self.worker)
            self._held_at = began
            self._hold = Hold(began, self._shared.stopping)
        return {each.message_id for each in part} & self._mine

    def _hand_over(
        self, group: Group, sender: Sender, messages: Sequence[Message]
    ) -> tuple[Mapping[uuid.UUID, Outcome], Outcome | None]:
        """The sender's answers; and what becomes of everything that is not handed over any more, if the channel
        or the template is out of order."""
        try:
            return sender.send(messages), None
        except TemplateRefused as error:
            # With no time of its own it waits longer after each try, and never stands first for good.
            spared = Outcome(OutcomeKind.NOT_SENT, error_code=TEMPLATE_REFUSED, detail=str(error))
            return {message.message_id: spared for message in messages}, None if group in self._shared.taken else spared
        except Misconfigured as error:
            self._shared.refuse(group.channel, error)
            spared = Outcome(OutcomeKind.NOT_SENT, error_code="misconfigured", retry_after=timedelta())
            ids, taken = [message.message_id for message in messages], taken_of(error)
            return {each: replace(spared, provider_message_id=taken.get(each)) for each in ids}, spared
        except Exception as error:  # noqa: BLE001 - a sender's own fault: its messages may have left, and must be recorded as such
            broken = Outcome(OutcomeKind.UNKNOWN, error_code=type(error).__name__)
            return {message.message_id: broken for message in messages}, None

    def _give_back(self, outcome: Outcome, clock: Clock) -> None:
        """A claim broke off, which may have been committed: nothing of it was handed over."""
        self._persist(
            lambda connection: outcomes.give_back(connection, self.worker, outcome, clock=clock.now(connection))
        )

    def _record(self, told: Sequence[Told], clock: Clock) -> Counter[str]:
        """Writes outcomes down: what a provider said must not be lost."""
        return self._persist(lambda connection: outcomes.record(connection, told, clock=clock.now(connection)))

    def _persist(self, write: Callable[[psycopg.Connection], Counter[str]]) -> Counter[str]:
        """Writes through a database that may have gone away meanwhile. Raises what it met when it stays away."""
        until, pause = time.monotonic() + RECORD_FOR.total_seconds(), 0.5
        while True:
            try:
                if self._connection.closed:
                    self._connection = ledger()
                return write(self._connection)
            except (psycopg.OperationalError, WinbackError):
                self._connection.close()
                if time.monotonic() + pause > until:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _sender(self, group: Group, shard: Shard) -> Sender | None:
        """The group's sender, or None with the channel out of service: then nothing of it is claimed."""
        key = (group.channel, group.definition_hash)
        try:
            if key not in self._senders:
                letters.check_links()
                self._shared.pace(group.channel, shard.count)
                self._senders[key] = self._factory(group.channel, self._definition(group.definition_hash))
        except Misconfigured as error:
            self._shared.refuse(group.channel, error)
            return None
        return self._senders[key]

    def _definition(self, definition_hash: str) -> Mapping[str, Any]:
        if definition_hash not in self._definitions:
            self._definitions[definition_hash] = runs.definition(self._connection, definition_hash)
        return self._definitions[definition_hash]

    def _step_fields(self, group: Group) -> Mapping[str, Mapping[str, str]]:
        """Step -> the template variables that are the same for everybody in it."""
        steps = self._definition(group.definition_hash)["steps"]
        return {step["key"]: step.get("merge_fields") or {} for step in steps}

    def _template(self, template_hash: str) -> Template:
        if template_hash not in self._templates:
            self._templates = {template_hash: runs.template(self._connection, template_hash)}
        return self._templates[template_hash]


_NO_DATABASE = Outcome(OutcomeKind.NOT_SENT, error_code="database_lost", retry_after=timedelta())
_TOO_LATE = Outcome(OutcomeKind.NOT_SENT, error_code=LEASE_LOST, retry_after=timedelta())
_UNANSWERED = Outcome(OutcomeKind.UNKNOWN, error_code="no_outcome", detail="The sender returned no outcome for it.")


def _not_handed_over(error: Exception) -> Outcome:
    """What becomes of messages that were claimed and could not be made ready. A fault of ours, unlike a database that
    went away, is not over the next moment: they are tried again at growing intervals."""
    if isinstance(error, psycopg.OperationalError):
        return _NO_DATABASE
    return Outcome(OutcomeKind.NOT_SENT, error_code=type(error).__name__)
