"""`winback run`: the DAG from the command, what a person sees of it, and its exit code."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cli.run_view import View
from tests.dags.airflow_home import Home

WINBACK = str(Path(sys.executable).with_name("winback"))


def run(airflow: Home, *options: str) -> subprocess.CompletedProcess[str]:
    return airflow.run([WINBACK, "run", "--as-of", "2017-10-01", *options])


@pytest.mark.slow
def test_a_failed_day_stops_the_next_ones_and_says_why(airflow: Home) -> None:
    airflow.tell({"build": {"fails": 1}})
    done = run(airflow, "--to", "2017-10-02")
    assert done.returncode == 1
    assert "      build cannot do it.\n        Mend it" in done.stdout
    assert "Not run: 2017-10-02" in done.stdout
    assert airflow.verbs() == ["ready", "build", "report"]
    log = next(line.partition("its full log is ")[2] for line in done.stdout.splitlines() if "its full log is " in line)
    assert "[DAG TEST] starting task_id=build" in Path(log).read_text()


@pytest.mark.slow
def test_a_day_that_has_to_wait_ends_with_the_code_that_says_so(airflow: Home) -> None:
    airflow.tell({"ready": {"fails": 1, "code": 75}})
    done = run(airflow)
    assert done.returncode == 75
    assert airflow.verbs() == ["ready", "report"]


@pytest.mark.slow
def test_told_to_keep_going_it_runs_the_next_day_and_still_fails(airflow: Home) -> None:
    airflow.tell({"gate": {"fails": 1}, "enqueue": {"says": {"decisions": {"send": 3, "skip": 0}}}})
    done = run(airflow, "--to", "2017-10-02", "--keep-going")
    assert done.returncode == 1
    assert airflow.verbs()[4:] == ["ready", "build", "gate", "enqueue", "dispatch", "dispatch", "report"]
    assert [call[1] for call in airflow.calls() if call[0] == "ready"] == [["--as-of", f"2017-10-0{n}"] for n in (1, 2)]
    assert "3 to be written to" in done.stdout
    assert "success in" in done.stdout


@pytest.mark.slow
def test_the_same_day_twice_at_once_is_two_runs_that_both_end(airflow: Home) -> None:
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: run(airflow), range(2)))
    assert [done.returncode for done in both] == [0, 0], "\n".join(done.stdout for done in both)
    assert airflow.verbs().count("enqueue") == 2


def test_it_does_not_run_beside_a_scheduler_that_would_take_its_tasks(airflow: Home) -> None:
    unpause = "update dag set is_paused = false where dag_id = 'winback_daily' returning dag_id"
    if not airflow.metadata(unpause):
        airflow.airflow("dags", "reserialize")
        assert airflow.metadata(unpause)
    airflow.metadata(
        "insert into job (dag_id, state, job_type, latest_heartbeat) values (null, 'running', 'SchedulerJob', now())"
        " returning id"
    )
    try:
        done = run(airflow)
        assert done.returncode == 1
        assert "A scheduler is running" in done.stdout
        assert "winback airflow dags trigger winback_daily" in done.stdout
        assert airflow.verbs() == []
    finally:
        airflow.metadata("delete from job where job_type = 'SchedulerJob' returning id")
        airflow.metadata("update dag set is_paused = true returning dag_id")


def test_days_in_the_wrong_order_are_refused(airflow: Home) -> None:
    done = run(airflow, "--to", "2017-09-30")
    assert done.returncode == 2
    assert "lies before" in done.stdout


def shown(lines: list[str], code: int, *days: str) -> str:
    out = io.StringIO()
    view = View(out, Path("run.log"), days or ["2017-10-01"])
    for line in lines:
        view.see(line)
    view.close(code)
    return out.getvalue()


START = "2026-11-21T22:26:13.6Z [info     ] [DAG TEST] starting task_id={} map_index={} [airflow.sdk] loc=dag.py:1"
END = "2026-11-21T22:26:14.6Z [info     ] [DAG TEST] end task task_id={} map_index={} [airflow.sdk] loc=dag.py:2"
SAID = "2026-11-21T22:26:14.1Z [info     ] {}     [airflow.task.operators.winback_operator.WinbackOperator] loc=x.py:1"
STATE = "2026-11-21T22:26:14.3Z [info     ] Task instance state updated [airflow.x] loc=x.py:485 new_state={} rows=1"


def test_a_task_shows_as_one_line_with_what_its_verb_said() -> None:
    result = (
        '{"decisions": {"send": 9, "hold": 0}, "grants": 1, "held": [], "run_id": "x", "shards": ["1/2", "2/2"],'
        ' "index": "/r/index.html"}'
    )
    day = 'winback-day {"as_of": "2017-10-01", "state": "success", "tasks": []}'
    text = shown(
        [START.format("dispatch", 1), SAID.format(result), STATE.format("success"), END.format("dispatch", 1), day], 0
    )
    assert "  dispatch 2     0.0 s  9 to be written to; 1 code set aside\n" in text
    assert "  success in 0 s\n" in text
    assert "The report: /r/index.html\n" in text


def test_a_failure_shows_in_full_without_its_traceback() -> None:
    failure = [
        "2026-11-21T22:26:14.2Z [error    ] Task failed with exception [task] loc=task_runner.py:1639",
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in execute',
        "airflow.sdk.exceptions.AirflowException: `winback gate` ended with exit code 1. winback: no",
        "  mend it",
    ]
    text = shown([START.format("gate", -1), *failure, STATE.format("failed"), END.format("gate", -1)], 1)
    assert "  gate           0.0 s  failed\n      no\n        mend it\n" in text
    assert "Traceback" not in text.split("Its last words")[0]


def test_the_first_failures_exit_code_is_kept() -> None:
    view = View(io.StringIO(), Path("run.log"), ["2017-10-01"])
    for verb, code in (("ready", 75), ("report", 1)):
        failure = [
            "2026-11-21T22:26:14.2Z [error    ] Task failed with exception [task] loc=task_runner.py:1639",
            f"airflow.sdk.exceptions.AirflowException: `winback {verb}` ended with exit code {code}. winback: no",
        ]
        for line in [START.format(verb, -1), *failure, STATE.format("failed"), END.format(verb, -1)]:
            view.see(line)
    assert view.code == 75


def test_a_single_dispatch_has_no_number_and_says_what_was_sent_now() -> None:
    frozen, sent = '{"shards": ["1/1"]}', '{"sent_now": {}, "totals": {}, "messages": {"accepted": 15}}'
    text = shown(
        [
            *(START.format("enqueue", -1), SAID.format(frozen), STATE.format("success"), END.format("enqueue", -1)),
            *(START.format("dispatch", 0), SAID.format(sent), STATE.format("success"), END.format("dispatch", 0)),
        ],
        0,
    )
    assert "  dispatch       0.0 s  Nothing was due, so nothing was sent now\n" in text


def test_an_airflow_that_does_not_start_shows_its_last_words() -> None:
    assert "Its last words:\n  ImportError: no airflow\nFailed. The full log: run.log" in shown(
        ["ImportError: no airflow"], 1
    )
