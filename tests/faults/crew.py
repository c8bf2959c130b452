"""Worker processes of one contestant in one round: started, killed, stopped, started again, brought to an end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psycopg

from local.sandbox.server import Handle
from senders.contract import EMAIL
from tests.integration.handoff_stub import UNTIL
from warehouse import connections

HOME = Path(__file__).resolve().parent.parent.parent
LEASE = 2.5
"""Seconds: what five minutes are in production."""
PUSHES = 20
"""Notifications a second, and so in a claim: one takes a hundred otherwise, and a few kills leave nothing to do."""
PATIENCE = 300.0
"""Seconds until a round that does not come to its end is given up."""
BROKEN_OFF = threading.Event()
"""Set when the whole run is broken off: no round waits or starts a process any more."""
Contestant = Literal["ours", "naive"]

UNFINISHED = {
    "ours": "select count(*) from outbox.message where (state = 'planned' and not_before < %(until)s)"
    " or state = 'sending'",
    "naive": "select count(*) from faults.naive where state in ('planned', 'sending')",
}
OPEN = {
    "ours": "select count(*) from outbox.attempt where outcome = 'open' and split_part(worker, ':', 2) = %(process)s",
    "naive": "select count(*) from faults.naive where state = 'sending' and worker = %(process)s",
}
LEDGER = {"ours": "outbox.attempt", "naive": "faults.naive"}
"""What a claim writes, and what an answer is recorded in: a lock on it holds both still."""


class StuckError(AssertionError):
    """A round did not come to its end, or a moment that it waits for did not come."""


@dataclass
class Crew:
    """The workers of one contestant against one sandbox. All of them share one log."""

    contestant: Contestant
    url: str
    sandbox: Handle
    folder: Path
    dice: random.Random
    batch: int = 20
    timeout: float = 1.5
    lanes: int = 2
    lease: float = LEASE
    told: Sequence[str] = ()
    """What our workers are told beside that: which run's day they step through, if not the newest one's."""
    channel: str = EMAIL
    """What the control sends through."""
    until_at: datetime = UNTIL
    """Where the simulated day ends: what is put off to later is not the round's business."""
    kills: int = 0
    exits: list[int] = field(default_factory=list)
    """How workers ended that nobody killed."""
    live: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log, self.verbs = self.folder / "workers.log", self.folder / "verbs.log"
        self._desk: psycopg.Connection | None = None

    def start(self, count: int = 1) -> subprocess.Popen[bytes]:
        """Starts workers; returns the last one."""
        command = {
            "ours": ["tests.faults.worker", str(self.lease), "dispatch", "--connections", str(self.lanes), *self.told],
            "naive": ["tests.faults.naive", str(self.lease), self.channel],
        }[self.contestant]
        for _ in range(count):
            self.live.append(self.spawn(*command))
        return self.live[-1]

    def spawn(self, module: str, *arguments: str, log: Path | None = None, **variables: str) -> subprocess.Popen[bytes]:
        """A process of the round that runs a module; whoever asks for it ends it."""
        _go_on()
        with (log or self.log).open("a") as output:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=HOME,
                env={**self.environment(), **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def verb(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """`winback ...` in a process of the round, one of the crew: it ends with it at the latest."""
        process = self.spawn("tests.faults.worker", str(self.lease), *arguments, log=self.verbs, **variables)
        self.live.append(process)
        return process

    def environment(self) -> dict[str, str]:
        """What a worker is told: the warehouse, and the sandbox as its providers."""
        told = dict(self.sandbox.connections())
        extra: dict[str, Any] = {"batch_size": self.batch, "timeout_seconds": self.timeout}
        for conn_id in ("sendgrid_default", "twilio_default"):
            document: dict[str, Any] = told[conn_id]
            told[conn_id] = {**document, "extra": {**document["extra"], **extra}}
        push: dict[str, Any] = told["webpush_default"]
        paced = {"messages_per_second": PUSHES, "connections": self.batch, "timeout_seconds": self.timeout}
        told["webpush_default"] = {**push, "extra": {**push["extra"], **paced}}
        variables = {connections.variable(conn_id): json.dumps(document) for conn_id, document in told.items()}
        return {
            **os.environ,
            **variables,
            "WINBACK_DATABASE_URL": self.url,
            "WINBACK_PUBLIC_URL": self.sandbox.events_url or "https://links.example.com",
            "WINBACK_TOKEN_KEY": "faults",
            "WINBACK_LOCAL": str(self.folder),
        }

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL; counted when it was alive."""
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.kills += 1
        if process in self.live:
            self.live.remove(process)

    def reap(self) -> int:
        """Lets go of workers that ended by themselves; returns how many are left."""
        for process in [one for one in self.live if one.poll() is not None]:
            self.live.remove(process)
            self.exits.append(process.returncode)
        return len(self.live)

    def value(self, query: str, values: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, as the owner of the database sees it."""
        end = time.monotonic() + 60
        while True:
            try:
                if self._desk is None:
                    self._desk = psycopg.connect(self.url, autocommit=True)
                row = self._desk.execute(query, values).fetchone()
                return row[0] if row else None
            except psycopg.OperationalError:  # a server that was killed comes back
                self._desk = None
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def unfinished(self) -> int:
        """Messages that somebody still has to do something about."""
        return int(self.value(UNFINISHED[self.contestant], {"until": self.until_at}))

    def opened(self, worker: subprocess.Popen[bytes]) -> int:
        """Messages that this worker has claimed and not recorded yet."""
        return int(self.value(OPEN[self.contestant], {"process": str(worker.pid)}))

    def receipts(self) -> int:
        """How many messages the providers have taken."""
        return sum(self.sandbox.status()["accepted"].values())

    def until(self, what: str, holds: Callable[[], Any], seconds: float = 150.0) -> None:
        """Waits for a moment. Raises `StuckError` when it does not come."""
        end = time.monotonic() + seconds
        while not holds():
            _go_on()
            if time.monotonic() > end:
                raise StuckError(
                    f"{self.contestant}: waited {seconds:.0f} s in vain until {what}.\n{self.last_words()}"
                )
            time.sleep(0.01)

    def until_sent(self, beyond: int = 0) -> None:
        """Waits until the providers have taken more than so many messages, or every worker has ended."""
        self.until("something is sent", lambda: self.receipts() > beyond or not self.reap())

    def finish(self, workers: int = 2) -> None:
        """Keeps so many workers at work until nothing is left to do and every dead worker's lease is over.

        Raises `StuckError` when that does not come about.
        """
        end = time.monotonic() + PATIENCE
        while self.unfinished():
            _go_on()
            if time.monotonic() > end:
                raise StuckError(
                    f"{self.contestant}: {self.unfinished()} messages are never done.\n{self.last_words()}"
                )
            if self.reap() < workers and not self._waits_for_leases():
                self.start()
            time.sleep(0.05)
        while self.reap():
            _go_on()
            if time.monotonic() > end:
                raise StuckError(f"{self.contestant}: a worker does not end.\n{self.last_words()}")
            time.sleep(0.02)

    def _waits_for_leases(self) -> bool:
        """Whether nothing can be done but wait: all that is left is in the hands of workers, dead or not."""
        if self.contestant == "naive":
            return bool(self.live)
        planned = "select count(*) from outbox.message where state = 'planned' and not_before < %(until)s"
        overdue = "select count(*) from outbox.attempt where outcome = 'open' and lease_until < clock_timestamp()"
        return not self.value(planned, {"until": self.until_at}) and not self.value(overdue)

    def last_words(self) -> str:
        """The ends of the logs, for a person who has to find out."""
        logs = [log.read_text().splitlines()[-15:] for log in (self.verbs, self.log) if log.exists()]
        return "\n".join(line for lines in logs for line in lines)

    def close(self) -> None:
        """Ends every process of the crew, stopped ones too."""
        for process in self.live:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        self.live.clear()
        if self._desk is not None:
            self._desk.close()


def _go_on() -> None:
    if BROKEN_OFF.is_set():
        raise StuckError("broken off")


@contextmanager
def crew(contestant: Contestant, url: str, sandbox: Handle, folder: Path, seed: int) -> Iterator[Crew]:
    """A crew whose processes end with the block."""
    made = Crew(contestant, url, sandbox, folder, random.Random(seed))  # noqa: S311 - dice of an experiment
    try:
        yield made
    finally:
        made.close()
