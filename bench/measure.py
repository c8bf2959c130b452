"""How things are measured: database time by PostgreSQL's own count, wall time, peak memory by the kernel's own count.

*Database time* is the sum of planning and execution time that `pg_stat_statements` counted for every statement between
two moments, on a server where nothing else runs. What dbt's adapter asks of the catalog, commits and DDL are in it;
dbt's start-up and Python's work are not. Statements of several sessions at once add up, as on the server's bill.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

WINBACK = str(Path(sys.executable).parent / "winback")
_WRITES = re.compile(r"(?:create|insert|delete|update|drop|alter|comment|analyze|truncate|merge|do)\b")
_RELATION = re.compile(r'"\w+"\."\w+"\."(\w+?)(?:__dbt_\w+)?"')
_TEMPORARY = re.compile(r'(?:create temporary table|drop table if exists) "(\w+?)__dbt_\w+"')
_STATISTICS = """
select query, sum(total_exec_time + total_plan_time) / 1000 as seconds, sum(calls) as calls
from pg_stat_statements
where dbid = (select oid from pg_database where datname = current_database()) and query !~ 'pg_stat_statements'
group by query
order by 2 desc
"""


@dataclass
class DatabaseTime:
    """What the server did during one block. Seconds."""

    total: float = 0.0
    by_relation: dict[str, float] = field(default_factory=dict)
    """Relation that was written -> seconds. What writes none (tests, catalog, commits) is under ''."""
    statements: list[tuple[str, float, int]] = field(default_factory=list, repr=False)
    """Text, seconds, calls; the slowest first."""
    wall: float = 0.0


@contextmanager
def database_time(url: str) -> Iterator[DatabaseTime]:
    """Counts what the server does in the database of `url` while the block runs."""
    found = DatabaseTime()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_stat_statements_reset()")
        began = time.perf_counter()
        yield found
        found.wall = time.perf_counter() - began
        for query, seconds, calls in connection.execute(_STATISTICS).fetchall():
            text = " ".join(query.split())
            name = written(text)
            found.by_relation[name] = found.by_relation.get(name, 0.0) + float(seconds)
            found.statements.append((text, float(seconds), int(calls)))
        found.total = sum(found.by_relation.values())


def written(text: str) -> str:
    """The relation that one of dbt's statements writes, without its schema; '' where it writes none."""
    found = _TEMPORARY.match(text) or (_RELATION.search(text) if _WRITES.match(text) else None)
    return found[1] if found else ""


@dataclass(frozen=True)
class Child:
    """A process that ran to its end."""

    wall: float
    peak_bytes: int
    """The largest resident set of it, or of one child that it waited for (`ru_maxrss`)."""
    output: str = field(repr=False)


def command(*arguments: str, **environment: str) -> Child:
    """Runs `winback` with the arguments. Raises `RuntimeError` with its last words when it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [WINBACK, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = "\n".join(output.splitlines()[-25:])
        raise RuntimeError(f"`winback {' '.join(arguments)}` ended with {process.returncode}:\n{tail}")
    return Child(time.perf_counter() - began, usage.ru_maxrss * 1024, output)


@dataclass(frozen=True)
class Figure:
    """One ratio beside its limit. `limit` None: shown, not judged."""

    name: str
    ratio: float
    limit: float | None
    at_least: bool = False
    """Whether the ratio has to reach the limit; otherwise it must not pass it."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """What the ratio was made of: medians, spreads, sizes; seconds and bytes as plain numbers."""
    note: str = ""
    summary: str = ""
    """What it was made of, in one line of the table."""

    @property
    def passed(self) -> bool | None:
        """Whether the limit holds; None where there is none."""
        if self.limit is None:
            return None
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    def document(self) -> dict[str, Any]:
        """The figure as `results.json` keeps it."""
        return {**asdict(self), "passed": self.passed}


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and most of the repetitions, for the record."""
    return {
        "median": round(median(values), 4),
        "least": round(min(values), 4),
        "most": round(max(values), 4),
        "repetitions": len(values),
    }


def say(line: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()
