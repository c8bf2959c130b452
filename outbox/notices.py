"""Notices: what the team has to know, sent by the same protocol as messages and before any gate.

Once per kind, subject and day. A subject is a promotion, a campaign or a channel, never a person.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

import psycopg

from outbox.sql import queries
from senders.contract import Outcome, OutcomeKind
from warehouse.errors import Misconfigured

LEASE = timedelta(minutes=2)

RUN_FAILED, GATE_FAILED = "run_failed", "gate_failed"
CAMPAIGN_STOPPED, PROVIDER_UNREACHABLE = "campaign_stopped", "provider_unreachable"
TEMPLATE_REFUSED = "template_refused"


class Notifier(Protocol):
    """The way out of a notice: title, body and the notice's id -> what happened to it.
    `senders.registry.notifier` makes one."""

    def __call__(self, title: str, body: str, notice_id: str, /) -> Outcome: ...


@dataclass(frozen=True)
class Notice:
    """One thing the team has to know."""

    kind: str
    subject: str
    on_day: date
    title: str
    body: str


def post(connection: psycopg.Connection, notice: Notice, *, at: datetime) -> bool:
    """Raises a notice and commits; False: it was raised before."""
    with connection.transaction():
        raised: int = queries.raise_notice(
            connection,
            kind=notice.kind,
            subject=notice.subject,
            on_day=notice.on_day,
            title=notice.title,
            body=notice.body,
            at=at,
        )
    return raised == 1


def post_requested(connection: psycopg.Connection, run_id: uuid.UUID, *, at: datetime) -> int:
    """Raises what a run's models ask for (a pool that ran dry) and commits. Returns how many are new."""
    with connection.transaction():
        raised: int = queries.raise_requested(connection, run_id=run_id, at=at)
    return raised


def waiting(connection: psycopg.Connection) -> int:
    """How many notices wait to be sent."""
    count: int = queries.waiting_notices(connection)
    return count


def send(
    connection: psycopg.Connection,
    notifier: Notifier,
    *,
    at: datetime,
    told: Callable[[str], None] = lambda title: None,
) -> Counter[str]:
    """Sends every notice that waits, one by one. Returns the state each came to -> notices; `told` hears the titles of
    those that were accepted.

    Raises `Misconfigured` when the way out refuses us; what it did not take waits for the next time.
    """
    worker = f"{socket.gethostname()}:{os.getpid()}:notices"
    with connection.transaction():
        queries.sweep_notices(connection, at=at)
        opened = list(queries.open_notices(connection, worker=worker, at=at, lease=LEASE))
    states: Counter[str] = Counter()
    refused: Misconfigured | None = None
    for row in opened:
        outcome, failure = _tell(notifier, row["title"], row["body"], row["notice_id"], refused)
        refused = refused or failure
        with connection.transaction():
            done = queries.record_notice(
                connection,
                notice_id=row["notice_id"],
                attempt_no=row["attempt_no"],
                outcome=outcome.kind.value,
                provider_message_id=outcome.provider_message_id,
                error_code=outcome.error_code,
                at=at,
            )
        states[done["state"] if done else "ignored"] += 1
        if outcome.kind is OutcomeKind.ACCEPTED:
            told(row["title"])
    if refused is not None:
        raise refused
    return states


def _tell(
    notifier: Notifier, title: str, body: str, notice_id: uuid.UUID, refused: Misconfigured | None
) -> tuple[Outcome, Misconfigured | None]:
    if refused is not None:
        return Outcome(OutcomeKind.NOT_SENT, error_code="misconfigured"), None
    try:
        return notifier(title, body, str(notice_id)), None
    except Misconfigured as error:
        return Outcome(OutcomeKind.NOT_SENT, error_code="misconfigured"), error
    except Exception as error:  # noqa: BLE001 - whatever it was, the notice may have left, and the others still have to
        return Outcome(OutcomeKind.UNKNOWN, error_code=type(error).__name__), None
