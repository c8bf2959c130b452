"""Runs one day of the daily DAG with the real verbs, then clears tasks of the finished run and runs what was cleared.

The day is `airflow dags test`, the clearing `airflow tasks clear`. A scheduler would then take the run up again; here
`DAG.test` does, whose loop asks Airflow itself which tasks are due: it is handed the run that is there, not a new one.

Called with a folder and a file with `as_of` and `parts`, part -> the task that is cleared, with what comes after it
(null: the day itself); writes `<part>.json` and `<part>.log` there for each, up to one that fails.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from local.airflow import DAG


def main(folder: Path, order: dict[str, Any]) -> None:
    """The day, then one part after another."""
    screen, date = os.dup(1), datetime.now(UTC)
    for name, task_id in order["parts"].items():
        log = (folder / f"{name}.log").open("w")
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        if task_id is None:
            code = airflow("dags", "test", DAG, date.isoformat(), "--conf", json.dumps({"as_of": order["as_of"]}))
        else:
            day = ("--start-date", date.isoformat(), "--end-date", date.isoformat())
            # Whatever its name says, Airflow 3 takes it for a part of the task's id.
            airflow("tasks", "clear", DAG, "--task-regex", task_id, "--downstream", *day, "--yes")
            with the_run_that_is_there():
                code = airflow("dags", "test", DAG, date.isoformat())
        sys.stdout.flush()
        (folder / f"{name}.json").write_text(json.dumps({"code": code, **found(date)}, default=str))
        if code:
            break
    os.dup2(screen, 1)


def airflow(*arguments: str) -> object:
    """Airflow's own command, in this process, on a database session of its own as if in another; what it exits with."""
    from airflow import settings
    from airflow.cli import cli_parser

    settings.Session.remove()
    parsed = cli_parser.get_parser().parse_args(arguments)
    try:
        parsed.func(parsed)
    except SystemExit as end:
        return end.code
    return 0


@contextmanager
def the_run_that_is_there() -> Iterator[None]:
    """`DAG.test` neither clears nor replaces a run: it takes a queued one up, as a scheduler does."""
    from airflow.models.dagrun import DagRun
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    def queued(*, dag: Any, logical_date: datetime, session: Any, **_: Any) -> Any:
        run = session.scalars(select(DagRun).where(DagRun.dag_id == DAG, DagRun.logical_date == logical_date)).one()
        if run.state != DagRunState.QUEUED:
            raise RuntimeError(f"The run is {run.state}: nothing of it was cleared.")
        run.state, run.dag = DagRunState.RUNNING, dag
        session.commit()
        return run

    with patch.object(SerializedDAG, "clear_dags"), patch("airflow.models.dagrun.get_or_create_dagrun", queued):
        yield


def found(date: datetime) -> dict[str, Any]:
    """What became of the run and how often each of its tasks was tried; what the ledger and the sandbox hold now."""
    import psycopg

    from local.airflow_days import outcome
    from local.sandbox import server
    from tests.integration.day_shop import LEDGER
    from warehouse import settings

    sandbox = server.running()
    with psycopg.connect(settings.read().database_url or "") as connection:
        ledger = {name: connection.execute(query).fetchall() for name, query in LEDGER.items()}
        answers = connection.execute("select run_id, state, enqueued from outbox.run order by created_at").fetchall()
    received = [(it["channel"], it["recipient"], it["message_id"]) for it in sandbox.receipts()] if sandbox else []
    return {**outcome(date), "tries": tries(date), "ledger": {**ledger, "received": received}, "runs": answers}


def tries(date: datetime) -> dict[str, int]:
    """Task -> the number of its last try."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        run = session.scalars(select(DagRun).where(DagRun.dag_id == DAG, DagRun.logical_date == date)).one()
        return {it.task_id: it.try_number for it in run.get_task_instances(session=session)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
