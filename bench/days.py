"""Days of work on synthetic shops: the verbs of the daily run, one after another, with database time and peak memory.

The first build of a shop makes every model from its whole past and is not counted. Then days follow one another as they
would: new orders, `ready`, `build`, `gate`, `enqueue`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

import psycopg

from bench import ledger, server
from bench.history import LAST_DAY, History, fill, next_day, settle
from bench.measure import Child, DatabaseTime, command, database_time, say
from warehouse import settings

SMALL, LARGE = "small", "large"
DAILY, QUICK_DAILY = 10_000, 500
REPETITIONS = 5
VERBS = ("ready", "build", "gate", "enqueue")
HOLDER = "bench"


@dataclass
class Day:
    """One day's work. By verb."""

    as_of: date
    run_id: str = ""
    database: dict[str, DatabaseTime] = field(default_factory=dict, repr=False)
    wall: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def run(self, url: str, *verbs: str) -> None:
        """Runs the verbs as the DAG calls them, each a process of its own, and keeps what they cost and said."""
        server.use(url)
        for verb in verbs:
            with database_time(url) as spent:
                child = command(verb, *self._arguments(verb), WINBACK_HOLDER=HOLDER)
            self._keep(verb, spent, child)

    def _arguments(self, verb: str) -> tuple[str, ...]:
        if verb in ("ready", "build"):
            return ("--as-of", self.as_of.isoformat())
        return ("--run", self.run_id, *(("--continue",) if verb == "gate" else ()))

    def _keep(self, verb: str, spent: DatabaseTime, child: Child) -> None:
        answer = json.loads(child.output.splitlines()[-1])
        self.run_id = str(answer.get("run_id", self.run_id))
        self.database[verb], self.wall[verb], self.peak_bytes[verb] = spent, child.wall, child.peak_bytes
        self.answers[verb] = answer


@dataclass
class Shop:
    """A synthetic shop."""

    name: str
    url: str
    history: History
    today: date
    """The day that was built last."""
    days: list[Day] = field(default_factory=list)
    """The days of `work`."""

    @property
    def orders(self) -> int:
        """How many orders it has behind it."""
        return self.history.days * self.history.daily

    def advance(self) -> Day:
        """A day passes in the shop; the next one's work is about to begin."""
        next_day(self.url, self.history, self.today)
        self.today += timedelta(days=1)
        return Day(self.today)

    def accept(self, day: Day) -> None:
        """The day's messages are accepted, as the dispatcher would have left them."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            ledger.accept(connection, day.as_of)


def histories(quick: bool) -> dict[str, History]:
    """A million orders and ten million (a twentieth of both when `quick`), the same number a day."""
    daily = QUICK_DAILY if quick else DAILY
    return {SMALL: History(days=100, daily=daily), LARGE: History(days=1000, daily=daily)}


@cache
def shop(name: str, quick: bool) -> Shop:
    """The shop, made and built for the first time, once for all benchmarks of this process."""
    history = histories(quick)[name]
    it = Shop(name, server.database(f"bench_{name}"), history, LAST_DAY)
    fill(it.url, history)
    with psycopg.connect(it.url, autocommit=True) as connection:
        ledger.fill(connection, ledger.first_day(history.days))
    settle(it.url)
    first = Day(LAST_DAY)
    first.run(it.url, *VERBS)
    it.accept(first)
    settle(it.url)
    say(f"first build of all models: {first.database['build'].total:.1f} s in the database (not counted)")
    return it


def work(shops: Sequence[Shop]) -> None:
    """`REPETITIONS` days in each shop, turn and turn about: what else the machine does meanwhile hits all of them."""
    for _ in range(REPETITIONS):
        for it in shops:
            day = it.advance()
            day.run(it.url, *VERBS)
            it.accept(day)
            it.days.append(day)
            build, enqueued = day.database["build"], day.answers["enqueue"]
            say(
                f"{it.name} {day.as_of}: build {build.total:.2f} s in the database, {build.wall:.1f} s by the clock; "
                f"{enqueued['messages']} messages, {enqueued['grants']} codes"
            )


def select(url: str, *models: str) -> DatabaseTime:
    """Runs these dbt models, and no tests, for the run that was built last; what that cost the database."""
    server.use(url)
    script = f"from warehouse import dbt; dbt.run(['run', '--select', {', '.join(map(repr, models))}])"
    with database_time(url) as spent:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=settings.read().home
        )
    if done.returncode:
        raise RuntimeError(f"dbt run --select {' '.join(models)} failed:\n{done.stderr[-2000:]}")
    return spent
