"""`python -m tests.faults [--only NAME] [--seeds N] [--quick]`: what `make faults` runs.

Starts a server of its own under `.local/faults`, plays every experiment, prints a table, writes `.local/faults.json`.
Exits 1 when anything that has to be zero is not, or when the control shows nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from local import postgres
from tests.faults import table
from tests.faults.database import Arena
from tests.faults.experiments import EXPERIMENTS
from tests.faults.rounds import run
from warehouse import settings


def main() -> int:
    """Plays what was asked for; 0 when everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Break delivery, and count.")
    names = [experiment.name for experiment in EXPERIMENTS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--seeds", type=int, help="rounds of each experiment, in place of its own number")
    parser.add_argument("--quick", action="store_true", help="one small round of each: what `make test` runs")
    asked = parser.parse_args()
    if asked.seeds is not None and asked.seeds < 1:
        parser.error(f"--seeds is {asked.seeds}; it counts rounds, from 1")
    report = settings.read().local / "faults.json"
    os.environ["WINBACK_LOCAL"] = str(settings.read().local / "faults")
    os.environ.pop("WINBACK_DATABASE_URL", None)
    with _alone(settings.read().local) as alone:
        if not alone:
            sys.stderr.write("make faults is running in this checkout already: its server is one. Nothing was done.\n")
            return 1
        return _play(asked, report)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether nobody else plays here, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "running.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _play(asked: argparse.Namespace, report: Path) -> int:
    url = postgres.ensure().url("postgres")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("alter system set fsync = off")  # killed processes lose nothing by it, and disks are slow
        admin.execute("select pg_reload_conf()")
    arena = Arena(url)
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:5.0f} s  {line}\n")
        sys.stderr.flush()

    try:
        chosen = [experiment for experiment in EXPERIMENTS if not asked.only or experiment.name in asked.only]
        results = run(arena, chosen, quick=asked.quick, seeds=asked.seeds, progress=say)
    finally:
        arena.close()
        postgres.stop()
    whole = not (asked.only or asked.quick or asked.seeds)
    complaints = table.complaints(results, whole=whole)
    table.show(results, complaints, seconds=time.monotonic() - began)
    table.write(report, results, complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
