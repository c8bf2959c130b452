"""Outcomes: what became of the attempts, as told by senders, by webhooks, and by people who looked it up.

An attempt leaves `unknown` only with evidence, and a closed one never changes: a late or repeated answer is
counted, not believed twice.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from outbox.sql import queries
from senders.contract import Outcome
from warehouse.clock import SIMULATED, shown
from warehouse.errors import WinbackError

BACKOFF = timedelta(seconds=30)
"""Before a message that was not sent is tried again, doubled each time; a provider's own word goes first."""

FOLD_OVERLAP = timedelta(hours=1)
"""How far before the last folding the next one begins: no transaction that stores events is open for longer."""
SOFT_LIMIT, SOFT_PERIOD, SOFT_PAUSE = 3, timedelta(days=30), timedelta(days=90)
"""So many messages that failed softly at an address within this period, none having arrived since, suppress it for the
pause. Ours: providers do not say when a full mailbox is a dead one."""


@dataclass(frozen=True)
class Told:
    """One attempt and what its sender said of it."""

    message_id: uuid.UUID
    attempt_no: int
    outcome: Outcome


def record(connection: psycopg.Connection, told: Sequence[Told], *, clock: datetime) -> Counter[str]:
    """Writes outcomes and moves their messages on, in one short transaction; may be repeated.

    Returns the state each message came to (`ignored`: its attempt was closed before) -> messages.
    """
    with connection.transaction():
        rows = list(
            queries.record_outcomes(
                connection, outcomes=json.dumps([_document(each) for each in told]), clock=clock, backoff=BACKOFF
            )
        )
        rejected = [row["message_id"] for row in rows if row["state"] == "rejected"]
        if rejected:
            queries.release_grants(connection, ids=rejected, clock=clock)
    return Counter(row["state"] for row in rows)


def give_back(connection: psycopg.Connection, worker: str, outcome: Outcome, *, clock: datetime) -> Counter[str]:
    """Closes every attempt that a worker has open, all with one outcome, and moves their messages on; commits.

    Returns what `record` does. For a worker that knows that it handed none of them over.
    """
    with connection.transaction():
        rows = queries.open_attempts(connection, worker=worker)
        told = [Told(row["message_id"], row["attempt_no"], outcome) for row in rows]
        return record(connection, told, clock=clock)


def _document(told: Told) -> dict[str, object]:
    outcome = told.outcome
    return {
        "message_id": str(told.message_id),
        "attempt_no": told.attempt_no,
        "outcome": outcome.kind.value,
        "provider_message_id": outcome.provider_message_id,
        "error_code": outcome.error_code,
        "segments": outcome.segments,
        "encoding": outcome.encoding,
        "retry_seconds": outcome.retry_after.total_seconds() if outcome.retry_after is not None else None,
        "suppress": outcome.suppress,
        "gone_endpoints": list(outcome.gone_endpoints),
        "is_address_fault": outcome.blames_address,
    }


def reconcile(connection: psycopg.Connection, *, clock: datetime) -> int:
    """Messages in doubt of which a provider has reported since become accepted. Returns how many; commits."""
    with connection.transaction():
        return len(list(queries.reconcile_by_events(connection, clock=clock)))


def fold_preferences(connection: psycopg.Connection) -> tuple[int, int]:
    """Turns opt-outs, complaints and what carriers say of addresses into suppressions. Returns (added, lifted);
    commits; may be repeated."""
    with connection.transaction():
        row = queries.fold_preferences(
            connection,
            overlap=FOLD_OVERLAP,
            soft_limit=SOFT_LIMIT,
            soft_period=SOFT_PERIOD,
            soft_pause=SOFT_PAUSE,
        )
        queries.mark_folded(connection, name="preferences")
    return row["suppressed"], row["lifted"]


SETTLED = {"planned": "not_sent", "accepted": "accepted", "rejected": "rejected"}
"""What a person can say became of a message in doubt -> the outcome of its attempt."""


def settle(connection: psycopg.Connection, message_id: uuid.UUID, state: str, *, by: str, evidence: str) -> str:
    """A named person says what became of a message in doubt: `planned` (it never left, send it), `accepted` or
    `rejected`.

    What providers have reported meanwhile goes first: it makes messages accepted, and no word of a person changes that.
    Returns the campaign and step, for the answer. Commits. Raises `WinbackError` when the message is not in doubt.
    """
    reconcile(connection, clock=queries.database_now(connection))
    with connection.transaction():
        row = queries.message_in_doubt(connection, message_id=message_id)
        if row is None:
            raise WinbackError(f"outbox.message has no message {message_id}. Nothing was changed.")
        report = queries.report_of(connection, message_id=message_id, channel=row["channel"])
        if report is not None:
            if state == row["state"] == "accepted":
                return f"{row['campaign']} {row['step']}"
            if state != "accepted":
                raise WinbackError(
                    f"Message {message_id} had left: {report['provider']} reported it as {report['kind']} "
                    f"({shown(report['occurred_at'])}), so it counts as accepted and is not sent again. "
                    "Your word was not recorded, and nothing else was changed."
                )
        if row["state"] != "in_doubt" or row["outcome"] != "unknown":
            under_way = (
                f" (attempt {row['attempt_no']}, until {row['lease_until']})" if row["state"] == "sending" else ""
            )
            raise WinbackError(
                f"Message {message_id} is {row['state']}{under_way}; only one in doubt can be released. "
                "Nothing was changed."
            )
        now: datetime = queries.database_now(connection)
        told = json.dumps({"source": "operator", "by": by, "text": evidence, "at": now.isoformat()})
        # A simulated message has its times in the simulation, and one that was accepted was so when it left, not when
        # somebody found out: purchases, caps and later steps count from there.
        clock = row["opened_at"] if state == "accepted" else row["closed_at"] if row["mode"] == SIMULATED else now
        queries.settle_attempt(
            connection,
            message_id=message_id,
            attempt_no=row["attempt_no"],
            outcome=SETTLED[state],
            evidence=told,
        )
        moved = queries.settle_message(
            connection, message_id=message_id, state=state, channel=row["channel"], clock=clock
        )
        if moved["state"] == "accepted" and moved["tag"]:
            queries.add_tag(
                connection, contact_id=moved["contact_id"], tag=moved["tag"], at=clock, caused_by=message_id
            )
        if moved["state"] == "rejected":
            queries.release_grants(connection, ids=[message_id], clock=clock)
    return f"{row['campaign']} {row['step']}"
