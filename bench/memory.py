"""Peak memory of every Python process of a day, in the young shop and in the one ten times as old.

The kernel's own count, `VmHWM`, looked at while a process runs: `ru_maxrss` of a child begins with the size of whoever
started it, and `winback run` would have that of the largest verb it waited for. Nothing may grow with the history: it
is read in the database.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import server
from bench.days import LARGE, SMALL, VERBS, Shop, shop
from bench.measure import Figure, command, say

DAY = (*VERBS, "dispatch", "report")
SERVICES = {"local.sandbox": "the service local.sandbox", "events": "the service events"}
RUN = {"run": "run", "local.airflow_days": "Airflow under `winback run`"}
"""A word of a command line -> the process it is."""
LOOK_SECONDS = 0.05


def run(quick: bool) -> list[Figure]:
    """Each process: its peak in the old shop over its peak in the young one. The sample's loader by itself."""
    peaks: dict[str, dict[str, int]] = {}
    for name in (SMALL, LARGE):
        it = shop(name, quick)
        with watched({verb: verb for verb in DAY}) as verbs:
            it.advance().run(it.url, *DAY)
        peaks[name] = {**verbs, **through_airflow(it), **running(SERVICES)}
        server.stop_services()
    figures = [
        Figure(
            f"peak memory of {process}: old shop over young",
            peaks[LARGE][process] / peaks[SMALL][process],
            None,
            measured={"bytes": {name: peaks[name][process] for name in (SMALL, LARGE)}},
            summary=f"{_mib(peaks[LARGE][process])} and {_mib(peaks[SMALL][process])}",
        )
        for process in peaks[SMALL]
        if process in peaks[LARGE]
    ]
    return [*figures, _loader()]


def through_airflow(it: Shop) -> dict[str, int]:
    """The next day by `winback run`: process -> peak bytes of the command and of the Airflow process it starts."""
    as_of = it.advance().as_of.isoformat()
    server.use(it.url)
    with watched(RUN) as peaks:
        child = command("run", "--as-of", as_of)
    say(f"{it.name} {as_of}: winback run, {child.wall:.0f} s by the clock")
    return peaks


@contextmanager
def watched(names: dict[str, str]) -> Iterator[dict[str, int]]:
    """Process -> its peak bytes as last seen while the block ran."""
    found: dict[str, int] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            for name, peak in running(names).items():
                found[name] = max(peak, found.get(name, 0))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
    if missing := set(names.values()) - set(found):
        raise RuntimeError(f"No process was seen of {', '.join(sorted(missing))}: it is called otherwise by now.")


def running(names: dict[str, str]) -> dict[str, int]:
    """Process -> its peak bytes so far, of the benchmarks' own Python processes that run now and have such a word in
    their command line."""
    found: dict[str, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            status = (process / "status").read_text()
            environment = (process / "environ").read_text()
        except OSError:
            continue
        if f"WINBACK_LOCAL={server.home()}" not in environment.split("\0"):
            continue
        peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
        if peak is None:  # it has ended, and nobody has collected it yet
            continue
        # A process that is about to become another one is called like its parent: the larger is meant.
        for name in (name for word, name in names.items() if word in words):
            found[name] = max(int(peak.split()[1]) * 1024, found.get(name, 0))
    return found


def _loader() -> Figure:
    url = server.database("bench_load")
    server.use(url)
    child = command("load", "complete-journey")
    with server.admin() as connection:
        row = connection.execute("select pg_database_size('bench_load')").fetchone()
    server.drop("bench_load")
    size = int(row[0]) if row else 0
    return Figure(
        "peak memory of load complete-journey over the database it fills",
        child.peak_bytes / size,
        None,
        measured={"bytes": child.peak_bytes, "database bytes": size, "seconds by the clock": round(child.wall, 1)},
        summary=f"{_mib(child.peak_bytes)} and {_mib(size)}, {child.wall:.0f} s",
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
