"""Enqueue: what the gate let pass becomes decisions, coupon grants and messages, all of it or nothing.

One transaction with one snapshot: what is counted and checked is what is frozen. The lock on grants is taken
before the snapshot, so
that the snapshot holds everything that an earlier freezing committed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import IsolationLevel, errors

from outbox.sql import ledger, queries
from warehouse.clock import LIVE
from warehouse.connect import GRANT_LOCK
from warehouse.errors import WinbackError

TARGET = "prod"
"""The only dbt target whose hand-off is sent."""
GATE_FAILED, NOT_APPROVED = "gate_failed", "not_approved"
ATTEMPTS = 3
"""How often the transaction is begun again when the database found it in conflict with another (nothing of it
was kept)."""
NOTHING = "Nothing was granted, planned or sent."
SEND_PROD = (
    f"Unset WINBACK_TARGET (or set it to {TARGET}) and build the day again: `winback run --as-of D`, or clear the "
    "DAG run."
)


class Refused(WinbackError):  # noqa: N818 - what happened to the run
    """This run can never be enqueued: its hand-off is not what the gate judged, or does not add up. Build the
    day again."""


@dataclass(frozen=True)
class Enqueued:
    """What one run froze. The same answer to everyone who asks, however often."""

    run_id: uuid.UUID
    decisions: Mapping[str, int]
    """Decision -> contacts, as archived."""
    requests: int
    """Requests of campaigns that were not withheld."""
    messages: int
    already_there: int
    """Requests whose episode had its message before: a replay, or a corrected order."""
    grants: int
    tags_added: int
    tags_removed: int
    withheld: Mapping[str, str]
    """Campaign -> why its day is held."""


def enqueue(run_id: uuid.UUID, *, approved: bool = True) -> Enqueued:
    """Freezes a validated run; an enqueued one answers the same again.

    `approved` False: every campaign's day is held (`not_approved`), its people are decided anew tomorrow.

    Raises `WinbackError`, with nothing frozen, when the run is in another state; `Refused` when it was built
    for another target,
    when the hand-off is no longer what the gate validated, or when its arithmetic does not add up.
    """
    with ledger() as connection:
        queries.take_grant_lock_of_session(connection, lock=GRANT_LOCK)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with connection.transaction():
                    return _enqueue(connection, run_id, approved)
            except errors.SerializationFailure:
                if attempt == ATTEMPTS:
                    raise
            except (errors.UniqueViolation, errors.ExclusionViolation) as error:
                raise Refused(
                    f"Enqueueing run {run_id} met a row that is there already ({error.diag.constraint_name} of "
                    f"outbox.{error.diag.table_name}): a code of its proposals was granted since it was built, or one "
                    f"person's step was requested twice. {NOTHING} Build the day again."
                ) from error
    raise AssertionError("unreachable")


def _enqueue(connection: psycopg.Connection, run_id: uuid.UUID, approved: bool) -> Enqueued:
    queries.take_grant_lock(connection, lock=GRANT_LOCK)
    run = queries.run_for_enqueue(connection, run_id=run_id)
    if run is None:
        raise WinbackError(f"outbox.run has no run {run_id}. {NOTHING}")
    if run["state"] == "enqueued":
        return Enqueued(**{**run["enqueued"], "run_id": run_id})
    _check_run(run)
    _check_handoff(connection, run)
    at = run["clock"] if run["mode"] != LIVE else queries.database_now(connection)
    withheld = _withheld(connection, run, approved)
    return _freeze(connection, run_id, withheld, at)


def _freeze(connection: psycopg.Connection, run_id: uuid.UUID, withheld: Mapping[str, str], at: datetime) -> Enqueued:
    held = json.dumps(withheld)
    queries.archive_decisions(connection, run_id=run_id, withheld=held, at=at)
    frozen = queries.freeze(connection, run_id=run_id, withheld=held, at=at)
    if not frozen["with_coupon"] == frozen["grants"] == frozen["events"]:
        raise Refused(
            f"Run {run_id}: {frozen['with_coupon']} planned messages with a code, {frozen['grants']} grants, "
            f"{frozen['events']} events of them. Each should have one of each. {NOTHING}"
        )
    tags = queries.apply_tag_requests(connection, run_id=run_id, withheld=held, at=at)
    counts = {row["decision"]: row["contacts"] for row in queries.archived_counts(connection, run_id=run_id)}
    answer = {
        "decisions": counts,
        "requests": frozen["requests"],
        "messages": frozen["messages"],
        "already_there": frozen["requests"] - frozen["messages"],
        "grants": frozen["grants"],
        **tags,
        "withheld": dict(withheld),
    }
    queries.mark_enqueued(connection, run_id=run_id, enqueued=json.dumps(answer))
    return Enqueued(run_id=run_id, **answer)


def refuse_other_target(run_id: uuid.UUID, target: str) -> None:
    """Raises `Refused` for a run that was built for another target: its rows lie where nobody looks."""
    if target != TARGET:
        raise Refused(
            f"Run {run_id} was built for the dbt target {target!r} (column target of outbox.run); only {TARGET!r} may "
            f"be sent. {NOTHING} {SEND_PROD}"
        )


def _check_run(run: Mapping[str, Any]) -> None:
    refuse_other_target(run["run_id"], run["target"])
    if run["state"] != "validated":
        raise WinbackError(
            f"Run {run['run_id']} is {run['state']}, not validated: `winback gate --run {run['run_id']}` comes "
            f"first, and a failed or abandoned run is built anew. {NOTHING}"
        )


def _check_handoff(connection: psycopg.Connection, run: Mapping[str, Any]) -> None:
    """Refuses a hand-off that is not, row for row, the one that the gate judged, or that does not add up."""
    run_id = run["run_id"]
    now = queries.handoff_totals(connection, run_id=run_id) or {
        "request_count": 0,
        "request_checksum": None,
        "target": None,
    }
    if now["target"] not in (None, TARGET):
        raise Refused(
            f"The hand-off of run {run_id} was built by the dbt target {now['target']!r} (handoff.handoff_totals), "
            f"though the run is {run['target']!r}'s: a dbt build of another target wrote into the schemas of "
            f"production. Only {TARGET!r} may be sent. {NOTHING} {SEND_PROD}"
        )
    validated = (run["request_count"] or 0, run["request_checksum"] if run["request_count"] else None)
    found = (now["request_count"] or 0, now["request_checksum"] if now["request_count"] else None)
    if validated != found:
        raise Refused(
            f"The hand-off of run {run_id} has changed since the gate judged it: {validated[0]} requests with "
            f"checksum {validated[1]} then, {found[0]} with {found[1]} now. {NOTHING} Build the day again."
        )
    for row in queries.uneven_pools(connection, run_id=run_id):
        raise Refused(
            f"Promotion {row['promotion']} of run {run_id} does not add up: {row['needed']} needed, "
            f"{row['proposed']} codes proposed ({row['different']} different), {row['unserved']} unserved, "
            f"{row['requested']} requests of which {row['with_their_code']} carry the code proposed for them. "
            f"Need must be proposed plus unserved. {NOTHING}"
        )
    for row in queries.unmatched_sends(connection, run_id=run_id):
        raise Refused(
            f"Run {run_id}, {row['campaign']} {row['step']}: {row['decided']} decisions to send and "
            f"{row['requested']} requests that do not match one to one. {NOTHING}"
        )


def _withheld(connection: psycopg.Connection, run: Mapping[str, Any], approved: bool) -> dict[str, str]:
    """Campaign -> why its day is held: the gate's verdict first, then a missing approval."""
    bundle = queries.find_definition(connection, hash=run["definition_hash"]) or {}
    unapproved = {} if approved else dict.fromkeys(bundle.get("campaigns", {}), NOT_APPROVED)
    # Fails closed: a campaign that the gate said nothing about is held, too.
    judged: Mapping[str, Any] = run["verdict"] or {}
    held = {
        campaign: GATE_FAILED
        for campaign in bundle.get("campaigns", {})
        if judged.get(campaign, {}).get("result") != "passed"
    }
    return {**unapproved, **held}
