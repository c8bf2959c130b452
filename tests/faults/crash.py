"""A database server that is killed with SIGKILL, all of its processes at once, while workers claim; and comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from local import postgres
from tests.faults.crew import Contestant
from tests.faults.database import Arena, local_folder
from tests.faults.rounds import Experiment, Round, on_stage
from warehouse import settings

_ALONE = threading.Lock()
"""One round at a time: a crash is everybody's."""


class Server:
    """An embedded server of its own, beside the one of the other rounds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self) -> str:
        """Starts it, after a crash too; the URL of its administrative database."""
        with local_folder(self._folder):
            return postgres.ensure().url("postgres")

    def kill(self) -> None:
        """SIGKILL for the postmaster and every process of it, as when the machine's power fails."""
        with local_folder(self._folder):
            pid = int((postgres.server().data / "postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(pid)
        for process in [postmaster, *postmaster.children(recursive=True)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs([postmaster], timeout=10)

    def stop(self) -> None:
        """Stops it in an orderly way."""
        with local_folder(self._folder):
            postgres.stop()


@contextmanager
def _beside(arena: Arena, contestant: Contestant, seed: int, *, people: int, quick: bool) -> Iterator[Round]:
    """A round on the server that is killed."""
    with _ALONE:
        server = Server(settings.read().local / "crash")
        own = Arena(server.start())
        try:
            with on_stage(own, contestant, seed, people=people, quick=quick) as it:
                yield it
        finally:
            server.start()
            own.close()
            server.stop()


def _server_killed(it: Round) -> None:
    """The server dies with claims and outcomes under way; workers meet its absence, its recovery, its return."""
    server = Server(settings.read().local / "crash")
    it.crew.batch = 10
    it.sandbox.set_faults({"kind": "latency", "seconds": 0.25})
    for _ in range(it.some(5, 1)):
        before = it.crew.receipts()
        it.crew.start(2)
        it.crew.until_sent(before)
        time.sleep(it.dice.uniform(0.0, 0.3))
        server.kill()
        it.crew.kills += 1
        time.sleep(it.dice.uniform(0.2, 1.5))
        server.start()
    it.crew.finish()


EXPERIMENTS = (
    Experiment(
        "server-killed", "PostgreSQL killed with -9 while workers claim", _server_killed, people=(600, 100),
        seeds=(3, 1), stage=_beside,
    ),
)  # fmt: skip
