"""`python -m bench [NAME ...] [--quick]`: measures, prints a table, writes bench/results.json.

| name | what is compared |
| --- | --- |
| growth | a day's `dbt build` at 1 and at 10 million orders, the same number a day |
| usual-way | the cohorts' models against every customer's last purchase from the whole history |
| limit | cohorts, decisions and allocations against the fewest hand-written statements that give the same rows |
| coupons | a million codes allocated and frozen against a bare INSERT ... SELECT, and against row-by-row SKIP LOCKED |
| sending | the dispatcher with its ledger against the SDKs' one call a message, plain HTTP and bare encryption |
| dispatch-memory | the peak memory of a dispatching process over many planned messages against few |
| intake | signed webhooks posted to the service against a bare COPY of the rows that they leave |
| memory | the peak memory of every Python process, at 1 and at 10 million orders |
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from bench import server
from bench.measure import Figure, say

NAMES = ("growth", "usual-way", "limit", "coupons", "sending", "dispatch-memory", "intake", "memory")
RESULTS = Path(__file__).parent / "results.json"


def main() -> int:
    """Runs the benchmarks that were asked for; 0 when every limit holds."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Winback: ratios beside their limits.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; none: all of them")
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the sizes; nothing is written to results.json"
    )
    parser.add_argument("--keep", action="store_true", help="leave the databases of the benchmarks where they are")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    url = server.start()
    where = machine(url)
    print("\n".join(f"{name}: {value}" for name, value in where.items()))
    figures: dict[str, list[Figure]] = {}
    try:
        for name in asked.names or NAMES:
            began = time.perf_counter()
            say(f"-- {name}")
            figures[name] = importlib.import_module(f"bench.{name.replace('-', '_')}").run(asked.quick)
            say(f"{name} took {time.perf_counter() - began:.0f} s")
            if not asked.quick:
                write({name: figures[name]}, where)  # at once: what breaks later takes nothing with it
    finally:
        server.stop_services()
        if not asked.keep:
            server.forget()
    show(figures)
    if not asked.quick:
        print(f"Written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}.")
    return 0 if all(figure.passed is not False for found in figures.values() for figure in found) else 1


def machine(url: str) -> dict[str, Any]:
    """Where it was measured: machine and server, as far as they matter."""
    with psycopg.connect(url) as connection:
        settings: dict[str, str] = dict(
            connection.execute(
                "select name, current_setting(name) from pg_settings where name in"
                " ('server_version', 'shared_buffers', 'work_mem', 'fsync', 'synchronous_commit', 'jit')"
            ).fetchall()
        )
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB",
        "python": platform.python_version(),
        "postgresql": settings.pop("server_version"),
        "settings": ", ".join(f"{name} {value}" for name, value in sorted(settings.items())),
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def show(figures: dict[str, list[Figure]]) -> None:
    """The table: each ratio beside its limit."""
    table = Table(title="Winback, measured", title_justify="left")
    for column, justify in (
        ("figure", "left"),
        ("ratio", "right"),
        ("limit", "right"),
        ("", "left"),
        ("made of", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for found in figures.values():
        for figure in found:
            limit = "" if figure.limit is None else f"{'>=' if figure.at_least else '<='} {figure.limit:g}"
            verdict = {True: "[green]holds[/]", False: "[bold red]MISSED[/]", None: ""}[figure.passed]
            table.add_row(figure.name, f"{figure.ratio:,.2f}", limit, verdict, figure.summary)
    Console(width=None if sys.stdout.isatty() else 180).print(table)


def write(figures: dict[str, list[Figure]], where: dict[str, Any]) -> None:
    """Keeps the figures in results.json; what was not run now keeps what it had, with its own date and machine."""
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, found in figures.items():
        document[name] = {"where": where, "figures": [figure.document() for figure in found]}
    RESULTS.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
