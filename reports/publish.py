"""Writes the pages that were asked for and says what it wrote."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg

from reports import read, render
from reports.read import Page, Row

STILL_CHANGING = timedelta(days=7)
"""How long after a run its page is written again with those of the next days: messages leave late, people open and buy
later still."""
DAYS_SHOWN = 31
"""How many days the page over the days holds where no stretch is asked for: the last ones."""


@dataclass(frozen=True)
class Choice:
    """Which pages are asked for; nothing given: those of the last days."""

    run_id: uuid.UUID | None = None
    """This run's page."""
    as_of: date | None = None
    """The pages of this day's runs, and anew those of the days before it on which something may still happen."""
    first: date | None = None
    """The page over the days begins here, and only runs from here on get a page."""
    last: date | None = None


@dataclass(frozen=True)
class Published:
    """What was written."""

    index: Path
    """The page over the days."""
    pages: Mapping[uuid.UUID, Path]
    """The pages of runs written by this call, by run."""
    page: Page
    """The numbers asked for: of the one run, or over the days."""
    runs: Sequence[Row] = field(repr=False)


def publish(choice: Choice, folder: Path, links: render.Links) -> Published:
    """Writes the pages of the chosen runs and the page over the days into `folder`.

    Raises `NothingToReportError` when no run is of that day, after the pages of the days before it were written anew,
    or when no `reports` schema is there yet, and `WinbackError` when the ledger does not know the run; nothing is
    written then.
    """
    with read.analyst() as connection:
        read.require_reports(connection)
        first, last = choice.first, choice.last
        if first is None and last is None and (newest := read.last_day(connection)):
            first = newest - timedelta(days=DAYS_SHOWN - 1)
        within = read.runs(connection, first, last)
        chosen = _choose(connection, choice, within)
        earlier = _changing(connection, choice, folder)
        if not chosen and not earlier:
            raise read.NothingToReportError(f"{_no_run(connection, choice)} No page was written.")
        changing = [*earlier, *chosen]
        numbers = {run["run_id"]: read.page(connection, [run]) for run in changing}
        over_days = read.page(connection, within)
    written: dict[uuid.UUID, Path] = {}
    for run in changing:
        path = folder / render.file_name(run)
        render.write(path, render.run_page(numbers[run["run_id"]], links))
        written[run["run_id"]] = path
    there = {run["run_id"]: render.file_name(run) for run in within if (folder / render.file_name(run)).exists()}
    index = folder / render.INDEX
    render.write(index, render.days_page(over_days, links, there))
    if not chosen:
        raise read.NothingToReportError(
            f"The ledger has no run of {choice.as_of} yet. The pages of the days before it were written anew: {index}"
        )
    one = choice.run_id or choice.as_of
    return Published(index, written, numbers[chosen[-1]["run_id"]] if one else over_days, chosen)


def _changing(connection: psycopg.Connection[Any], choice: Choice, folder: Path) -> list[Row]:
    """The runs of the days before the chosen one whose pages lie there: what they say may have changed since."""
    if choice.run_id or not choice.as_of:
        return []
    earlier = read.runs(connection, choice.as_of - STILL_CHANGING, choice.as_of - timedelta(days=1))
    return [run for run in earlier if (folder / render.file_name(run)).exists()]


def _choose(connection: psycopg.Connection[Any], choice: Choice, within: Sequence[Row]) -> Sequence[Row]:
    if choice.run_id:
        return [read.run(connection, choice.run_id)]
    chosen = read.runs(connection, choice.as_of, choice.as_of) if choice.as_of else within
    return chosen if within else []


def _no_run(connection: psycopg.Connection[Any], choice: Choice) -> str:
    days = sorted({run["last_as_of"] for run in read.runs(connection) if run["last_as_of"]})
    known = f"It knows runs from {days[0]} to {days[-1]}." if days else "`winback run --as-of D` makes one."
    wanted = f" of {choice.as_of}" if choice.as_of else _stretch(choice)
    return f"The ledger has no run{wanted}. {known}"


def _stretch(choice: Choice) -> str:
    if choice.first and choice.last:
        return f" from {choice.first} to {choice.last}"
    return f" since {choice.first}" if choice.first else f" until {choice.last}" if choice.last else ""
