"""The DAG files as Airflow reads them: quick, without anything of ours, every task bounded and explained."""

from __future__ import annotations

import ast
import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.dags.airflow_home import HOME, Home

DAGS = HOME / "dags"

DESCRIBE = """
import json, sys, time
began = time.monotonic()
from airflow.dag_processing.dagbag import BundleDagBag
imported = time.monotonic() - began
bag = BundleDagBag(dag_folder=sys.argv[1], bundle_path=sys.argv[1], bundle_name="dags-folder")
print("DAGS " + json.dumps({
    "errors": bag.import_errors,
    "seconds": sum(stat.duration.total_seconds() for stat in bag.dagbag_stats),
    "ours": sorted(set(sys.modules) & {"cli", "outbox", "events", "expectations", "reports", "campaigns", "senders",
                                      "warehouse", "local", "great_expectations", "dbt", "pandas"}),
    "dags": {dag.dag_id: {
        "doc": dag.doc_md, "catchup": dag.catchup, "runs": dag.max_active_runs, "timezone": str(dag.timezone),
        "bounded": bool(dag.dagrun_timeout), "callback": bool(dag.on_failure_callback),
        "tasks": {task.task_id: {
            "doc": task.doc_md, "retries": task.retries, "delay": task.retry_delay.total_seconds(),
            "timeout": bool(task.execution_timeout), "down": sorted(task.downstream_task_ids),
            "teardown": task.is_teardown,
        } for task in dag.tasks},
    } for dag in bag.dags.values()},
}))
"""


@pytest.fixture(scope="module")
def described(shared_airflow: Home) -> dict[str, object]:
    done = shared_airflow.run([sys.executable, "-c", DESCRIBE, str(DAGS)])
    line = next(line for line in done.stdout.splitlines() if line.startswith("DAGS "))
    document: dict[str, object] = json.loads(line.removeprefix("DAGS "))
    return document


def test_the_files_parse_quickly_and_import_nothing_of_ours(described: dict[str, object]) -> None:
    assert described["errors"] == {}
    assert described["ours"] == []
    assert float(str(described["seconds"])) < 3


def test_dag_files_import_airflow_and_nothing_of_ours() -> None:
    allowed = {"airflow", "pendulum", "winback_operator", "winback_alert", "winback_approval"}
    for file in DAGS.glob("*.py"):
        tree = ast.parse(file.read_text())
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        roots = {module.partition(".")[0] for module in modules}
        assert roots <= allowed | sys.stdlib_module_names, file.name


def test_every_task_has_a_timeout_retries_with_a_delay_and_an_explanation(described: dict) -> None:  # type: ignore[type-arg]
    assert set(described["dags"]) == {"winback_daily", "winback_dispatch"}
    for dag_id, dag in described["dags"].items():
        assert dag["doc"] and dag["bounded"] and dag["callback"] and dag["runs"] == 1, dag_id
        assert dag["timezone"] == "America/New_York"
        for task_id, task in dag["tasks"].items():
            name = f"{dag_id}.{task_id}"
            assert task["doc"] and task["timeout"], name
            assert task["retries"] >= 1, name
            assert task["delay"] >= 30, name


def test_the_day_is_wired_in_its_order_and_the_report_is_a_teardown(described: dict) -> None:  # type: ignore[type-arg]
    daily, dispatch = described["dags"]["winback_daily"], described["dags"]["winback_dispatch"]
    assert (daily["catchup"], dispatch["catchup"]) == (True, False)
    tasks = daily["tasks"]
    order = ["ready", "build", "gate", "approve", "enqueue", "dispatch", "verdict", "report"]
    for task_id, after in pairwise(order):
        assert after in tasks[task_id]["down"]
    assert [name for name, task in tasks.items() if task["teardown"]] == ["report"]
    assert {name: (task["down"], task["teardown"]) for name, task in dispatch["tasks"].items()} == {
        "dispatch": (["report"], False),
        "report": ([], True),
    }
    assert tasks["ready"]["retries"] * tasks["ready"]["delay"] == 6 * 3600, "loads may be six hours late"


def test_files_without_a_dag_are_ignored_by_the_scheduler() -> None:
    ignored = {line for line in (DAGS / ".airflowignore").read_text().splitlines() if not line.startswith("#")}
    files = {path.name for path in DAGS.glob("*.py")}
    assert ignored == {name for name in files if "DAG(" not in Path(DAGS / name).read_text()}
