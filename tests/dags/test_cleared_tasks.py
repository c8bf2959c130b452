"""Clearing tasks of a finished run, with the real verbs: a day that runs again grants, plans and sends nothing more."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dags.airflow_home import HOME, Home
from tests.integration import day_shop
from tests.integration.dbt_days import database
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

AFTER_ENQUEUE = {"enqueue", "dispatch", "verdict", "report"}
PARTS = {"day": None, "enqueue_cleared": "enqueue", "build_cleared": "build"}


@pytest.fixture(scope="module")
def ran(
    shared_airflow: Home, postgres: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The run, the ledger and the sandbox's receipts after each part, all parts in one Airflow process."""
    folder = tmp_path_factory.mktemp("cleared")
    with database(postgres, template_database) as url:
        with connect(Role.OWNER) as connection:
            day_shop.fill(connection)
        (folder / "order.json").write_text(json.dumps({"as_of": day_shop.FIRST, "parts": PARTS}))
        real = {
            "WINBACK_COMMAND": str(Path(sys.executable).with_name("winback")),
            "WINBACK_DATABASE_URL": url,
            "WINBACK_LOCAL": str(folder / "local"),
            "WINBACK_CAMPAIGNS": str(day_shop.uncapped(folder / "campaigns")),
            "WINBACK_RETRIES": "0",
            "PYTHONPATH": str(HOME),
        }
        try:
            done = shared_airflow.run(
                [sys.executable, "-m", "tests.dags.cleared", str(folder), str(folder / "order.json")], **real
            )
        finally:
            shared_airflow.run([real["WINBACK_COMMAND"], "sandbox", "stop"], **real)
        assert done.returncode == 0, done.stdout[-3000:]
        yield {name: _read(folder, name) for name in PARTS}


def _read(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    log = (folder / f"{name}.log").read_text()
    assert (found["code"], found["state"]) == (0, "success"), f"{name}: {found['tasks']}\n{log[-3000:]}"
    assert {task["state"] for task in found["tasks"]} == {"success"}, found["tasks"]
    return found


def test_the_day_itself_grants_plans_and_sends(ran: dict[str, Any]) -> None:
    day = ran["day"]
    ledger = day["ledger"]
    (run,) = day["runs"]
    assert run[2]["messages"] == len(ledger["messages"]) == len(ledger["attempts"]) > 0
    assert run[2]["grants"] == len(ledger["grants"]) == len(ledger["events"]) > day_shop.CODES
    assert {state for *_, state in ledger["messages"]} == {"accepted"}
    assert len([it for it in ledger["received"] if it[2]]) == len(ledger["messages"])
    assert [notice[:2] for notice in ledger["notices"]] == [["pool_dry", "winback_discount10"]]
    assert set(day["tries"].values()) == {1}


def test_enqueue_of_a_finished_run_cleared_runs_again_and_adds_nothing(ran: dict[str, Any]) -> None:
    day, cleared = ran["day"], ran["enqueue_cleared"]
    assert {task_id for task_id, number in cleared["tries"].items() if number == 2} == AFTER_ENQUEUE
    assert cleared["run_id"] == day["run_id"], "the same run of Airflow"
    assert cleared["ledger"] == day["ledger"]
    assert cleared["runs"] == day["runs"], "the run is asked again, and answers what it answered then"


def test_build_of_a_finished_run_cleared_decides_anew_and_adds_nothing(ran: dict[str, Any]) -> None:
    day, cleared = ran["day"], ran["build_cleared"]
    assert {task_id for task_id, number in cleared["tries"].items() if number == 1} == {"ready"}
    assert cleared["run_id"] == day["run_id"], "the same run of Airflow"
    assert cleared["ledger"] == day["ledger"]
    first, again = cleared["runs"]
    assert [first] == day["runs"]
    assert (again[1], again[2]["messages"], again[2]["grants"]) == ("enqueued", 0, 0)
