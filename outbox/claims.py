"""Claims: which messages may go now, decided again in the transaction that opens their attempts.

Whatever dies after that transaction leaves open attempts, which are swept into doubt; whatever dies before it
leaves nothing.
Between its commit and the call of a provider lies a window that nobody can close; docs/OPERATIONS.md says how long it
is ("How old is what a message goes by when it leaves?").
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from outbox.sql import queries
from senders.contract import Recipient, Subscription
from warehouse.clock import SIMULATED

PERSON_LOCKS = 7_305_004
"""First key of the advisory locks on people; the second is a hash of the person."""
CLAIM_SIZE = 250
"""Messages a claim takes at most: a lock each, and a server's lock table holds 6,400 by default."""
LEASE = timedelta(minutes=5)
"""Without a sign of life for so long, whoever opened an attempt counts as dead."""


@dataclass(frozen=True)
class Shard:
    """One of `count` workers, `index` from 0. A contact belongs to one of them."""

    index: int = 0
    count: int = 1


@dataclass(frozen=True)
class Group:
    """What can be sent together: one channel of one definition with one template."""

    campaign: str
    channel: str
    definition_hash: str
    template_hash: str


@dataclass(frozen=True)
class Rules:
    """What of a definition the claim goes by."""

    zone: str
    send_at: str
    hours: Mapping[str, Any]
    """The definition's `hours`, of every channel and place: SQL takes a person's from there."""
    per_day: int | None
    per_7_days: int | None

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Rules:
        """The rules, from a campaign's document."""
        caps = definition.get("caps") or {}
        return cls(
            zone=definition["timezone"],
            send_at=definition["send_at"],
            hours=definition.get("hours") or {},
            per_day=caps.get("per_day"),
            per_7_days=caps.get("per_7_days"),
        )


@dataclass(frozen=True)
class Claimed:
    """One opened attempt: what goes, and where. Holds an address; `repr` does not show it."""

    message_id: uuid.UUID
    attempt_no: int
    campaign: str
    step: str
    merge_fields: Mapping[str, str] = field(repr=False)
    first_name: str | None = field(repr=False)
    recipient: Recipient = field(repr=False)
    deliver_before: datetime


@dataclass(frozen=True)
class Claim:
    """What one claim came to."""

    opened: Sequence[Claimed] = ()
    verdicts: Counter[str] = field(default_factory=Counter)
    """`open`, `skipped`, `expired`, `deferred`, `moved` (to its next channel), `twin` (left for the next claim),
    `reconciled` (its provider reports that an earlier attempt had left after all) -> messages."""
    picked: int = 0
    """How many were due and free: 0 ends a group."""


def due_groups(connection: psycopg.Connection, *, clock: datetime, mode: str, shard: Shard) -> dict[Group, int]:
    """What is due, with how many messages, the campaign of the highest priority first."""
    rows = queries.due_groups(connection, clock=clock, mode=mode, shard=shard.index, shards=shard.count)
    return {
        Group(row["campaign"], row["channel"], row["definition_hash"], row["template_hash"]): row["due"] for row in rows
    }


def next_due(
    connection: psycopg.Connection, *, clock: datetime, until: datetime, mode: str, shard: Shard
) -> datetime | None:
    """The next instant after `clock` and before `until` at which something becomes due; None: nothing does."""
    instant: datetime | None = queries.next_due(
        connection, clock=clock, until=until, mode=mode, shard=shard.index, shards=shard.count
    )
    return instant


def claim(
    connection: psycopg.Connection,
    group: Group,
    rules: Rules,
    *,
    clock: datetime,
    mode: str,
    shard: Shard,
    worker: str,
    size: int,
) -> Claim:
    """Claims up to `size` due messages of a group and commits: their attempts are open when this returns.

    Everything else that was looked at is closed, deferred or moved to its next channel in the same transaction.
    """
    with connection.transaction():
        ids = [
            row["id"]
            for row in queries.pick_due(
                connection,
                channel=group.channel,
                definition_hash=group.definition_hash,
                template_hash=group.template_hash,
                clock=clock,
                mode=mode,
                shard=shard.index,
                shards=shard.count,
                size=min(size, CLAIM_SIZE),
            )
        ]
        if not ids:
            return Claim()
        picked = len(ids)
        ids, reconciled = _without_reported(connection, ids, clock)
        list(queries.lock_people(connection, ids=ids, lock=PERSON_LOCKS))
        rows = list(
            queries.judge_and_open(
                connection,
                ids=ids,
                channel=group.channel,
                clock=clock,
                zone=rules.zone,
                send_at=rules.send_at,
                hours=Jsonb(dict(rules.hours)),
                per_day=rules.per_day,
                per_7_days=rules.per_7_days,
                worker=worker,
                lease=LEASE,
                known_until=clock if mode == SIMULATED else "infinity",
            )
        )
        closed = [row["id"] for row in rows if row["verdict"] in ("skipped", "expired")]
        if closed:
            queries.release_grants(connection, ids=closed, clock=clock)
    opened = [_claimed(row) for row in rows if row["verdict"] == "open"]
    verdicts = Counter(row["verdict"] for row in rows)
    if reconciled:
        verdicts["reconciled"] = reconciled
    return Claim(opened, verdicts, picked)


def _without_reported(
    connection: psycopg.Connection, ids: list[uuid.UUID], clock: datetime
) -> tuple[list[uuid.UUID], int]:
    """Those of which no provider has reported, and how many of the others became accepted: they left long ago."""
    reported = {row["id"] for row in queries.reconcile_planned(connection, ids=ids, clock=clock)}
    return [each for each in ids if each not in reported], len(reported)


def _claimed(row: Mapping[str, Any]) -> Claimed:
    subscriptions = tuple(
        Subscription(each["endpoint"], each["p256dh"], each["auth"]) for each in row["subscriptions"] or ()
    )
    return Claimed(
        message_id=row["id"],
        attempt_no=row["attempt_no"],
        campaign=row["campaign"],
        step=row["step"],
        merge_fields=row["merge_fields"],
        first_name=row["first_name"],
        recipient=Recipient(email=row["email"], phone=row["phone"], subscriptions=subscriptions),
        deliver_before=row["deliver_before"],
    )


def expire_overdue(connection: psycopg.Connection, *, clock: datetime, mode: str) -> int:
    """Closes what is past its end, gives its codes back and commits. Returns how many messages.

    What was tried before is asked about once more: it may have left, and its code with it.
    """
    with connection.transaction():
        ids = [row["id"] for row in queries.overdue(connection, clock=clock, mode=mode)]
        if ids:
            ids, _ = _without_reported(connection, ids, clock)
        if ids:
            queries.expire(connection, ids=ids, clock=clock)
            queries.release_grants(connection, ids=ids, clock=clock)
    return len(ids)


def sweep(connection: psycopg.Connection, *, clock: datetime) -> int:
    """Puts the messages of attempts whose worker has given no sign of life in doubt, and commits. Returns how
    many."""
    with connection.transaction():
        return len(list(queries.sweep_stale(connection, clock=clock)))


def confirm(connection: psycopg.Connection, ids: Sequence[uuid.UUID], worker: str) -> set[uuid.UUID]:
    """Which of these messages the worker still holds; renews their leases and commits.

    A process that was stopped for longer than its lease finds its attempts swept, and must not send them any more.
    """
    with connection.transaction():
        rows = queries.confirm_open(connection, ids=list(ids), worker=worker, lease=LEASE)
        return {row["message_id"] for row in rows}


def extend(connection: psycopg.Connection, workers: Sequence[str]) -> int:
    """A sign of life for everything these workers have under way. Returns how many attempts; commits."""
    with connection.transaction():
        extended: int = queries.extend_attempts(connection, workers=list(workers), lease=LEASE)
    return extended
