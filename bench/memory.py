"""Peak memory of every Python process of a day, in the young shop and in the one ten times as old.

The kernel's own count: `ru_maxrss` of each verb's process, `VmHWM` of the services that stay up. Nothing may grow with
the history: it is read in the database.
"""

from __future__ import annotations

from pathlib import Path

from bench import server
from bench.days import LARGE, SMALL, VERBS, shop
from bench.measure import Figure, command

LAST_VERBS = ("dispatch", "report")


def run(quick: bool) -> list[Figure]:
    """Each process: its peak in the old shop over its peak in the young one. The sample's loader by itself."""
    peaks: dict[str, dict[str, int]] = {}
    for name in (SMALL, LARGE):
        it = shop(name, quick)
        day = it.advance()
        day.run(it.url, *VERBS, *LAST_VERBS)
        peaks[name] = {**day.peak_bytes, **services()}
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


def services() -> dict[str, int]:
    """Service -> peak bytes of the benchmarks' own Python services that are up: the sandbox and the webhook service."""
    found: dict[str, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            status = (process / "status").read_text()
            environment = (process / "environ").read_text()
        except OSError:
            continue
        if f"WINBACK_LOCAL={server.home()}" not in environment:
            continue
        for service in ("local.sandbox", "events"):
            if service in words:
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
                found[f"the service {service}"] = int(peak.split()[1]) * 1024
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
