"""Named points of a worker's way, reached from outside: a worker is held still there, killed, and let go.

Between claim and outcome a worker writes to the ledger and calls the provider; a lock on the ledger holds it at the
one, a fault of the sandbox at the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.faults.crew import LEDGER, Crew

Point = Callable[[Crew], None]


@contextmanager
def locked(crew: Crew) -> Iterator[psycopg.Connection]:
    """Nobody can write what this contestant's claims and outcomes are kept in, until the block ends."""
    with psycopg.connect(crew.url) as holder:
        holder.execute(
            sql.SQL("lock table {} in share row exclusive mode").format(
                sql.Identifier(*LEDGER[crew.contestant].split("."))
            )
        )
        yield holder


def is_waited_for(holder: psycopg.Connection) -> bool:
    """Whether somebody stands in front of the lock that this connection holds."""
    row = holder.execute(
        "select exists (select from pg_locks w where not w.granted and pg_backend_pid() = any(pg_blocking_pids(w.pid)))"
    ).fetchone()
    return bool(row and row[0])


def before_the_claim_commits(crew: Crew) -> None:
    """Killed with the claim written and not committed."""
    with locked(crew) as holder:
        worker = crew.start()
        crew.until("a claim waits for the ledger", lambda: is_waited_for(holder))
        crew.kill(worker)


def between_attempt_and_call(crew: Crew) -> None:
    """Killed with its attempts open, before the provider took anything: what it sent never came to be."""
    crew.sandbox.set_faults({"kind": "hang", "accepted": False, "seconds": 5})
    worker = crew.start()
    crew.until("an attempt is open", lambda: crew.opened(worker))
    crew.kill(worker)
    crew.sandbox.set_faults()


def after_acceptance_before_commit(crew: Crew) -> None:
    """Killed when the provider had accepted and the answer was under way."""
    before = crew.receipts()
    crew.sandbox.set_faults({"kind": "hang", "accepted": True, "seconds": 5})
    worker = crew.start()
    crew.until("the provider has accepted", lambda: crew.receipts() > before)
    crew.kill(worker)
    crew.sandbox.set_faults()


def with_the_answer_in_hand(crew: Crew) -> None:
    """Killed with the provider's yes received, while writing it down."""
    before = crew.receipts()
    crew.sandbox.set_faults({"kind": "latency", "seconds": 0.6})
    worker = crew.start()
    crew.until("an attempt is open", lambda: crew.opened(worker))
    with locked(crew) as holder:
        crew.until("an outcome waits for the ledger", lambda: crew.receipts() > before and is_waited_for(holder))
        crew.kill(worker)
    crew.sandbox.set_faults()
