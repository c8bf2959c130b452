"""dbt, run in this process: its environment from the warehouse's URL, progress, one error that names the node.

Starting dbt costs some seconds; a run pays them once. What dbt writes for itself (the parsed project, its log)
goes under `$WINBACK_LOCAL/dbt/<target>`, never into the checkout.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from warehouse import settings
from warehouse.connect import Role, database_url
from warehouse.errors import Misconfigured, WinbackError

BUILD = ("build", "--exclude-resource-type", "unit_test")
"""The arguments of a day's build: models, snapshots and tests on data. Unit tests belong to `make test`."""

_QUIET = ("--log-level", "none", "--log-level-file", "debug")

Progress = Callable[[str], None]


def environment() -> dict[str, str]:
    """The variables that `dbt_project/profiles.yml` reads, password included: for an environment, never for printing.

    Raises `Misconfigured` when the warehouse's URL names no host or database.
    """
    parts = urlsplit(database_url())
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    host = parts.hostname or query.get("host", "")
    name = unquote(parts.path.lstrip("/")) or query.get("dbname", "")
    if not host or not name:
        raise Misconfigured(
            "WINBACK_DATABASE_URL must name a host and a database, as postgresql://user:password@host:5432/database: "
            "dbt connects with these parts. Nothing was built."
        )
    it = settings.read()
    work = it.local / "dbt" / it.target
    return {
        "DBT_PROJECT_DIR": str(it.home / "dbt_project"),
        "DBT_PROFILES_DIR": str(it.home / "dbt_project"),
        "DBT_TARGET_PATH": str(work / "target"),
        "DBT_LOG_PATH": str(work / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
        "WINBACK_TARGET": it.target,
        "WINBACK_DBT_HOST": host,
        "WINBACK_DBT_PORT": str(parts.port or query.get("port", 5432)),
        "WINBACK_DBT_USER": unquote(parts.username or query.get("user", "")),
        "WINBACK_DBT_PASSWORD": unquote(parts.password or query.get("password", "")),
        "WINBACK_DBT_DBNAME": name,
        "WINBACK_DBT_SSLMODE": query.get("sslmode", "prefer"),
        # dbt takes its role on inside a transaction and loses it where that is rolled back; as an option it stays.
        "PGOPTIONS": f"-c role={Role.DBT} -c timezone=UTC",
    }


def run(arguments: Sequence[str] = BUILD, *, progress: Progress | None = None) -> list[str]:
    """Runs dbt with `arguments` and returns the names of the nodes that it ran.

    `progress` gets a line for each node as it ends; without one the lines go to stderr.
    Raises `WinbackError` naming the first node that failed and why. What had been built by then stays; nothing is
    sent from it, for a run that was not built to its end is never enqueued.
    """
    from dbt.cli.main import dbtRunner

    with _variables(environment()):
        outcome = dbtRunner(callbacks=[_reporter(progress or _to_stderr)]).invoke([*_QUIET, *arguments])
    results = list(getattr(outcome.result, "results", None) or [])
    if not outcome.success:
        raise WinbackError(_explanation(arguments, results, outcome.exception))
    return [result.node.name for result in results]


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """The process's environment with `values`, for the time of the block: they hold a password and a role."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _reporter(progress: Progress) -> Callable[[Any], None]:
    def report(event: Any) -> None:
        if event.info.name == "NodeFinished":
            node, result = event.data.node_info, event.data.run_result
            progress(f"dbt {node.resource_type} {node.node_name}: {result.status} ({result.execution_time:.2f} s)")

    return report


def _gist(message: str) -> str:
    """The words of an error without the rows and the SQL that follow them: dbt's log has it."""
    words = " ".join(message.split())
    for end in (" DETAIL: ", " CONTEXT: ", " LINE ", " compiled code at ", " > in macro "):
        words = words.partition(end)[0]
    return words if len(words) <= 600 else words[:600] + " ..."


def _explanation(arguments: Sequence[str], results: Sequence[Any], exception: BaseException | None) -> str:
    """What a person needs to know of a failed build: the node, its file, dbt's own words."""
    failed = [result for result in results if str(result.status) in ("error", "fail", "runtime error")]
    if not failed:
        return (
            f"`dbt {' '.join(arguments)}` could not start: {str(exception or 'it gave no reason').strip()}\n"
            "Nothing was built and nothing was sent."
        )
    lines = [
        f"{result.node.resource_type} {result.node.name} ({result.node.original_file_path}): "
        + _gist(str(result.message or result.status))
        for result in failed[:5]
    ]
    if len(failed) > len(lines):
        lines.append(f"and {len(failed) - len(lines)} more")
    return (
        f"The dbt build failed at {lines[0]}"
        + "".join(f"\n  {line}" for line in lines[1:])
        + f"\nThe statements are in {settings.read().local / 'dbt' / settings.read().target / 'logs' / 'dbt.log'}."
        + "\nNothing was enqueued and nothing was sent; the ledger is as it was. Mend the cause and run the day again."
    )
