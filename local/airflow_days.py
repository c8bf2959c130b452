"""Runs the daily DAG for one day after another in one process: what `airflow dags test` does, its start-up paid once.

Called by `winback run` with a JSON object on its command line: `{"days": [...], "conf": {...}, "keep_going": false}`.
After each day it prints one line, `winback-day {...}`: the run's state, its tasks with states and seconds.
Exit code 1 when a day failed.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from local.airflow import DAG

MARK = "winback-day "


def main(order: dict[str, Any]) -> int:
    """Runs the days in order, up to the first that fails unless told to keep going."""
    from airflow.cli import cli_parser

    parser = cli_parser.get_parser()
    failed = False
    for day in order["days"]:
        logical_date = datetime.now(UTC)
        conf = json.dumps({**order["conf"], "as_of": day})
        arguments = parser.parse_args(["dags", "test", DAG, logical_date.isoformat(), "--conf", conf])
        try:
            arguments.func(arguments)
        except SystemExit as end:
            print(end)  # noqa: T201 - `DagRun failed`
        result = outcome(logical_date)
        if not result["tasks"]:  # a logical date before the DAG's start: Airflow calls that a success
            result["state"] = "failed"
        failed = failed or result["state"] != "success"
        print(MARK + json.dumps({"as_of": day, **result}, default=str), flush=True)  # noqa: T201
        if failed and not order["keep_going"]:
            break
    return int(failed)


def outcome(logical_date: datetime) -> dict[str, Any]:
    """What became of the DAG run of this logical date: `run_id`, `state`, `tasks`."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == DAG, DagRun.logical_date == logical_date))
        if run is None:
            return {"run_id": None, "state": "failed", "tasks": []}
        instances = sorted(run.get_task_instances(session=session), key=lambda it: it.start_date or run.start_date)
        tasks = [
            {"task_id": it.task_id, "map_index": it.map_index, "state": it.state, "seconds": it.duration}
            for it in instances
        ]
        return {"run_id": run.run_id, "state": run.state, "tasks": tasks}


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
