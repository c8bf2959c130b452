"""Runs: one at a time between build and enqueue, with a lease in the database's own time.

The tasks of a run are processes of their own. What keeps a second run out is the unique index on open runs;
what tells a living run
from a dead one is its lease; what keeps two builders of one run apart is a session's advisory lock, which dies
with the process.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import psycopg

from campaigns.changes import check_removed_keys, removed_keys
from campaigns.definition import Bundle
from outbox.sql import ledger, queries
from senders.contract import Push, Template
from warehouse.connect import RUN_LOCK
from warehouse.errors import WinbackError

BUILD_LEASE = timedelta(minutes=3)
"""Without a sign of life for so long, a build counts as dead."""
HANDOVER_LEASE = timedelta(minutes=30)
"""How long the next verb of a run may keep us waiting; the gate, the approval and enqueue each extend it."""
APPROVAL_LEASE = timedelta(hours=5)
"""How long a run whose approval is asked for may keep us waiting: somewhat longer than the approval itself."""
POLL_SECONDS = 2.0
SAY_SECONDS = 15.0
LIVE_DAYS = 180
"""A step accepted longer ago than this has no later step to come."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One row of `outbox.run`, with its days."""

    run_id: uuid.UUID
    mode: str
    clock: datetime
    definition_hash: str
    target: str
    holder: str
    state: str
    request_count: int | None
    request_checksum: str | None
    verdict: Mapping[str, Any]
    enqueued: Mapping[str, Any] | None
    detail: str | None
    days: Sequence[date]


@dataclass(frozen=True)
class Plan:
    """What a run is opened for."""

    mode: str
    clock: datetime
    days: Mapping[date, datetime]
    """Each `as_of`, with the clock after which nothing is known to it."""
    definition_hash: str
    """The bundle's."""
    target: str
    holder: str

    def is_that_of(self, run: Run) -> bool:
        """Whether an open run decides the same. A live clock has moved on meanwhile: that makes it another run."""
        return (self.mode, self.clock, sorted(self.days), self.definition_hash, self.target) == (
            run.mode, run.clock, sorted(run.days), run.definition_hash, run.target,
        )  # fmt: skip


def register(connection: psycopg.Connection, bundle: Bundle) -> None:
    """Stores the definitions and templates of a bundle under their hashes. What is known already is left alone."""
    for campaign in bundle.campaigns.values():
        document = campaign.document()
        queries.store_definition(connection, hash=campaign.hash, kind="campaign", body=json.dumps(document))
    for template in bundle.templates.values():
        push = json.dumps(asdict(template.push)) if template.push else None
        queries.store_template(
            connection,
            template_hash=template.template_hash,
            subject=template.subject,
            html=template.html,
            text=template.text,
            sms=template.sms,
            push=push,
        )
    queries.store_definition(connection, hash=bundle.hash, kind="bundle", body=json.dumps(bundle.document()))


def check_keys(connection: psycopg.Connection, bundle: Bundle, as_of: date) -> None:
    """Refuses a bundle that drops a step while people are in the middle of it: `WinbackError` naming file and key."""
    known = [row["body"] for row in queries.known_definitions(connection)]
    if not removed_keys(known, bundle):
        return  # the usual day: nobody has to be counted
    live = {
        (row["campaign"], row["step"]): row["contacts"]
        for row in queries.live_steps(connection, since=as_of - timedelta(days=LIVE_DAYS))
    }
    check_removed_keys(known, bundle, live)


def template(connection: psycopg.Connection, template_hash: str) -> Template:
    """A stored template. Raises `WinbackError` when there is none of that hash."""
    row = queries.find_template(connection, template_hash=template_hash)
    if row is None:
        raise WinbackError(f"outbox.template has no row {template_hash}. Nothing was sent.")
    return Template(**{**row, "push": Push(**row["push"]) if row["push"] else None})


def definition(connection: psycopg.Connection, definition_hash: str) -> Mapping[str, Any]:
    """The document of a stored definition. Raises `WinbackError` when there is none of that hash."""
    body = queries.find_definition(connection, hash=definition_hash)
    if body is None:
        raise WinbackError(f"outbox.definition has no row {definition_hash}. Nothing was sent.")
    return dict(body)


def find(connection: psycopg.Connection, run_id: uuid.UUID) -> Run:
    """A run. Raises `WinbackError` when there is none of that id."""
    row = queries.find_run(connection, run_id=run_id)
    if row is None:
        raise WinbackError(f"outbox.run has no run {run_id}. `winback build --as-of DAY` makes one.")
    return Run(**{**row, "days": row["days"] or []})


def newest_of_day(connection: psycopg.Connection, as_of: date) -> uuid.UUID:
    """The newest enqueued run of a day. Raises `WinbackError` when there is none."""
    run_id: uuid.UUID | None = queries.run_of_day(connection, as_of=as_of)
    if run_id is None:
        raise WinbackError(
            f"No run of {as_of} was enqueued, so there is nothing of it to send. `winback run --as-of {as_of}` runs it."
        )
    return run_id


def business_now(connection: psycopg.Connection) -> datetime:
    """The ledger's present: of a simulated warehouse the newest time it came to, of a live one the database's."""
    now: datetime = queries.business_now(connection)
    return now


def database_now(connection: psycopg.Connection) -> datetime:
    """The database's own time, aware."""
    now: datetime = queries.database_now(connection)
    return now


@contextmanager
def building_site(*, wait: timedelta, progress: Progress) -> Iterator[psycopg.Connection]:
    """Holds the building site's lock for the block, on a connection of its own (outside a transaction).

    Waits for another builder with a line of progress now and then. Raises `WinbackError` after `wait`.
    """
    until = time.monotonic() + wait.total_seconds()
    with ledger() as connection:
        said = -math.inf
        while not queries.try_run_lock(connection, lock=RUN_LOCK):
            if time.monotonic() > until:
                raise WinbackError(
                    f"Another process has been building for more than {_minutes(wait)}. Nothing was changed. Wait for "
                    f"it, or look for it in pg_locks (locktype advisory, objid {RUN_LOCK}) and pg_stat_activity."
                )
            if time.monotonic() - said > SAY_SECONDS:
                progress("another process is building; waiting for it")
                said = time.monotonic()
            time.sleep(POLL_SECONDS / 4)
        try:
            yield connection
        finally:
            if not connection.closed:
                queries.free_run_lock(connection, lock=RUN_LOCK)


def open_run(site: psycopg.Connection, plan: Plan) -> uuid.UUID | float:
    """Opens a run on the building site, or enters one's own again; otherwise the seconds that a living other one may
    still take.

    A run whose lease has run out, and one's own of another plan, is abandoned: nothing of it was sent. Commits.
    """
    with site.transaction():
        found = queries.open_run_of_anyone(site)
        if found is not None:
            mine = found["holder"] == plan.holder
            run_id: uuid.UUID = found["run_id"]
            if mine and plan.is_that_of(find(site, run_id)):
                queries.reenter_run(site, run_id=run_id, lease=BUILD_LEASE)
                return run_id
            if found["is_alive"] and not mine:
                return float(found["seconds_left"])
            why = "its own holder began another" if mine else "its lease ran out"
            queries.close_run(site, run_id=run_id, state="abandoned", detail=why)
        run_id = queries.insert_run(
            site,
            mode=plan.mode,
            clock=plan.clock,
            definition_hash=plan.definition_hash,
            target=plan.target,
            holder=plan.holder,
            lease=BUILD_LEASE,
        )
        queries.insert_run_days(site, run_id=run_id, days=list(plan.days), clocks=list(plan.days.values()))
        return run_id


@contextmanager
def building(plan: Plan, *, wait: timedelta, progress: Progress) -> Iterator[uuid.UUID]:
    """Opens a run and keeps its lease and the building site for the block.

    Waits while another holder's run is alive, saying so. Raises `WinbackError` after `wait`.
    """
    until = time.monotonic() + wait.total_seconds()
    said = -math.inf
    while True:
        left = timedelta(seconds=max(0.0, until - time.monotonic()))
        with building_site(wait=left, progress=progress) as site:
            opened = open_run(site, plan)
            if isinstance(opened, uuid.UUID):
                with kept_alive(opened):
                    yield opened
                return
        if time.monotonic() + POLL_SECONDS > until:
            raise WinbackError(
                f"Another run is between build and enqueue, and was not done within {_minutes(wait)}; its lease "
                f"ends in {opened:.0f} s. Nothing was changed. Try again later."
            )
        if time.monotonic() - said > SAY_SECONDS:
            progress(f"another run is under way (its lease: {opened:.0f} s more); waiting for it")
            said = time.monotonic()
        time.sleep(POLL_SECONDS)


@contextmanager
def kept_alive(run_id: uuid.UUID, *, lease: timedelta = BUILD_LEASE) -> Iterator[None]:
    """Extends the run's lease in the background for as long as the block runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(lease.total_seconds() / 4):
            try:
                extend(run_id, lease=lease)
            except (psycopg.Error, WinbackError):
                continue  # the lease outlasts several missed beats; the block itself will meet a lasting failure

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def extend(run_id: uuid.UUID, *, lease: timedelta = HANDOVER_LEASE) -> None:
    """A sign of life: the run's lease reaches at least `lease` from now."""
    with ledger() as connection:
        queries.extend_lease(connection, run_id=run_id, lease=lease)


def mark_built(run_id: uuid.UUID) -> None:
    """The hand-off is complete. Raises `WinbackError` when the run is no longer being built."""
    with ledger() as connection:
        if queries.mark_built(connection, run_id=run_id, lease=HANDOVER_LEASE) != 1:
            run = find(connection, run_id)
            raise WinbackError(
                f"Run {run_id} is {run.state} ({run.detail}), no longer being built. Nothing of it will be sent."
            )


def mark_validated(
    connection: psycopg.Connection,
    run_id: uuid.UUID,
    *,
    request_count: int,
    request_checksum: str | None,
    verdict: Mapping[str, Any],
    lease: timedelta = HANDOVER_LEASE,
) -> None:
    """Writes down what the gate saw and said of a built run. Raises `WinbackError` when the run is in another
    state."""
    changed = queries.mark_validated(
        connection,
        run_id=run_id,
        lease=lease,
        request_count=request_count,
        request_checksum=request_checksum,
        verdict=json.dumps(verdict),
    )
    if changed != 1:
        run = find(connection, run_id)
        raise WinbackError(f"Run {run_id} is {run.state}; the gate judges a built one. Nothing was changed.")


def fail(run_id: uuid.UUID, detail: str) -> None:
    """Ends an open run as failed, saying why (no people in `detail`). One that has ended stays as it is."""
    with ledger() as connection:
        queries.close_run(connection, run_id=run_id, state="failed", detail=detail)


def _minutes(duration: timedelta) -> str:
    minutes = duration.total_seconds() / 60
    return f"{minutes:.0f} minutes" if minutes >= 1 else f"{duration.total_seconds():.0f} seconds"
