"""The operator alone: what it makes of a verb's end, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dags.airflow_home import HOME

VERB = """
import json, os, pathlib, signal, subprocess, sys, time
how, folder = sys.argv[1], pathlib.Path(sys.argv[2])
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if how in ("sleeps", "stubborn"):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)
print("at work")
if how == "fails":
    print("a line before")
    print("winback: it is broken", file=sys.stderr, flush=True)
    print("  mend it", file=sys.stderr, flush=True)
    sys.exit(int(sys.argv[3]))
if how == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "environment":
    print(json.dumps({"names": sorted(os.environ), "stdin": sys.stdin.read()}))
else:
    print("no JSON" if how == "mute" else json.dumps({"run_id": "r", "count": 3}))
"""


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the driver; the verb gets `how`, the test's folder, and what else is given."""
    (tmp_path / "verb.py").write_text(VERB)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "WINBACK_COMMAND": f"{sys.executable} {tmp_path / 'verb.py'}",
    }

    def start(how: str, *more: str, env: dict[str, str] | None = None, **order: Any) -> subprocess.Popen[str]:
        document = json.dumps({"arguments": [how, str(tmp_path), *more, "", " "], **order})
        return subprocess.Popen(
            [sys.executable, "-m", "tests.dags.operator_driver", document],
            env={**environment, **(env or {})},
            cwd=HOME,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def outcome(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    """What the driver printed last, and the log."""
    out, err = process.communicate(timeout=60)
    return json.loads(out.splitlines()[-1]), out + err


def pids(folder: Path) -> list[int]:
    """The verb and its child, once they run."""
    for _ in range(300):
        if (folder / "pids").exists() and len(found := (folder / "pids").read_text().split()) == 2:
            return [int(pid) for pid in found]
        time.sleep(0.1)
    raise AssertionError("the verb did not start")


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_end(running: list[int]) -> bool:
    for _ in range(100):
        if not any(alive(pid) for pid in running):
            return True
        time.sleep(0.1)
    return False


def test_the_last_line_of_json_is_the_result_and_each_key_is_pushed(drive: Callable[..., Any]) -> None:
    found, log = outcome(drive("works"))
    assert found == {"result": {"run_id": "r", "count": 3}, "pushed": {"run_id": "r", "count": 3}}
    assert "at work" in log


def test_a_verb_that_fails_is_quoted_in_its_own_words(drive: Callable[..., Any]) -> None:
    found, log = outcome(drive("fails", "1"))
    assert found["error"] == "AirflowException"
    assert found["words"] == "`winback fails` ended with exit code 1. winback: it is broken\n  mend it"
    assert "a line before" in log


@pytest.mark.parametrize(
    ("code", "attempt", "retries", "error"),
    [
        ("1", 3, "", "AirflowException"),
        ("1", 4, "", "AirflowFailException"),
        ("75", 40, "", "AirflowException"),
        ("75", 1, "0", "AirflowFailException"),
    ],
)
def test_only_waiting_is_worth_many_tries(
    drive: Callable[..., Any], code: str, attempt: int, retries: str, error: str
) -> None:
    found, _ = outcome(drive("fails", code, try_number=attempt, env={"WINBACK_RETRIES": retries}))
    assert found["error"] == error


def test_a_verb_that_ends_without_json_is_an_error(drive: Callable[..., Any]) -> None:
    found, _ = outcome(drive("mute"))
    assert (found["error"], found["pushed"]) == ("AirflowFailException", {})
    assert "no JSON object" in found["words"]


def test_a_verb_that_is_killed_fails_its_task(drive: Callable[..., Any]) -> None:
    found, _ = outcome(drive("dies"))
    assert (found["error"], "exit code -9" in found["words"]) == ("AirflowException", True)


def test_a_verb_sees_nothing_of_airflows_own_configuration(drive: Callable[..., Any]) -> None:
    found, _ = outcome(drive("environment", env={"AIRFLOW__CORE__FERNET_KEY": "x", "AIRFLOW_CTX_DAG_RUN_ID": "r"}))
    names = found["result"]["names"]
    assert [name for name in names if name.startswith("AIRFLOW__")] == []
    assert "AIRFLOW_CTX_DAG_RUN_ID" in names, "the run's name is who holds the run"
    assert found["result"]["stdin"] == ""


@pytest.mark.parametrize("how", ["sleeps", "stubborn"])
def test_a_task_that_is_killed_ends_its_verb_and_what_that_started(
    drive: Callable[..., Any], tmp_path: Path, how: str
) -> None:
    process = drive(how, grace=1)
    running = pids(tmp_path)
    process.send_signal(signal.SIGTERM)
    found, _ = outcome(process)
    assert found["error"] == "AirflowException"
    assert all_end(running)


def test_a_task_that_takes_too_long_ends_its_verb(drive: Callable[..., Any], tmp_path: Path) -> None:
    process = drive("sleeps", timeout=8)
    running = pids(tmp_path)
    found, _ = outcome(process)
    assert found["error"] == "AirflowTaskTimeout"
    assert all_end(running)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_verb_does_not_outlive_a_task_process_that_was_shot(drive: Callable[..., Any], tmp_path: Path) -> None:
    process = drive("sleeps")
    verb, child = pids(tmp_path)
    process.kill()
    process.communicate()
    assert all_end([verb])
    os.kill(child, signal.SIGKILL)
