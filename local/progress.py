"""Progress for a person at a terminal (a bar) or for a log (a line when something is done, never two a second)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

QUIET_SECONDS = 5.0
"""In a log, a table that takes longer than this says how far it is."""


@contextmanager
def shown(totals: Mapping[str, int], out: TextIO) -> Iterator[Callable[[str, int], None]]:
    """Shows how far each table is; the block calls what it is given with a table's name and newly done rows."""
    if out.isatty():
        with _bars(totals) as told:
            yield told
    else:
        yield _lines(totals, out)
    out.flush()


@contextmanager
def _bars(totals: Mapping[str, int]) -> Iterator[Callable[[str, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bars:
        tasks = {name: bars.add_task(name, total=total) for name, total in totals.items()}
        yield lambda name, rows: bars.advance(tasks[name], rows)


def _lines(totals: Mapping[str, int], out: TextIO) -> Callable[[str, int], None]:
    done = dict.fromkeys(totals, 0)
    last = time.monotonic()

    def told(name: str, rows: int) -> None:
        nonlocal last
        done[name] += rows
        finished = done[name] == totals[name]
        if finished or time.monotonic() - last > QUIET_SECONDS:
            last = time.monotonic()
            out.write(f"  {name:<24} {done[name]:>9,} of {totals[name]:>9,} rows\n")
            out.flush()

    return told
