"""The operator alone: what it makes of a verb's end, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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


SIMPLE: dict[str, dict[str, Any]] = {
    "works": {"how": "works"},
    "fails": {"how": "fails", "code": "1"},
    "third": {"how": "fails", "code": "1", "try_number": 3},
    "fourth": {"how": "fails", "code": "1", "try_number": 4},
    "waits": {"how": "fails", "code": "75", "try_number": 40},
    "watched": {"how": "fails", "code": "75", "env": {"WINBACK_RETRIES": "0"}},
    "mute": {"how": "mute"},
    "dies": {"how": "dies"},
    "environment": {
        "how": "environment",
        "env": {"AIRFLOW__CORE__FERNET_KEY": "x", "AIRFLOW_CTX_DAG_RUN_ID": "r"},
    },
}


def start(folder: Path, *orders: dict[str, Any]) -> subprocess.Popen[str]:
    """The driver, with a verb that gets `how`, the test's folder and `code`."""
    (folder / "verb.py").write_text(VERB)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "WINBACK_COMMAND": f"{sys.executable} {folder / 'verb.py'}",
    }
    documents = [{**it, "arguments": [it["how"], str(folder), it.get("code", ""), "", " "]} for it in orders]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.dags.operator_driver", json.dumps(documents)],
        env=environment,
        cwd=HOME,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcomes(process: subprocess.Popen[str]) -> tuple[list[dict[str, Any]], str]:
    """What the driver printed of each order, and the log."""
    out, err = process.communicate(timeout=120)
    return [json.loads(line) for line in out.splitlines() if line.startswith('{"')], out + err


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of each of the simple orders, all run in one process."""
    found, log = outcomes(start(tmp_path_factory.mktemp("operator"), *SIMPLE.values()))
    return {**dict(zip(SIMPLE, found, strict=True)), "log": log}


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


def test_the_last_line_of_json_is_the_result_and_each_key_is_pushed(simple: dict[str, Any]) -> None:
    assert simple["works"] == {"result": {"run_id": "r", "count": 3}, "pushed": {"run_id": "r", "count": 3}}
    assert "at work" in simple["log"]


def test_a_verb_that_fails_is_quoted_in_its_own_words(simple: dict[str, Any]) -> None:
    found = simple["fails"]
    assert found["error"] == "AirflowException"
    assert found["words"] == "`winback fails` ended with exit code 1. winback: it is broken\n  mend it"
    assert "a line before" in simple["log"]


def test_only_waiting_is_worth_many_tries(simple: dict[str, Any]) -> None:
    assert simple["third"]["error"] == "AirflowException"
    assert simple["fourth"]["error"] == "AirflowFailException"
    assert simple["waits"]["error"] == "AirflowException"
    assert simple["watched"]["error"] == "AirflowFailException", "a person at a terminal decides about another try"


def test_a_verb_that_ends_without_json_is_an_error(simple: dict[str, Any]) -> None:
    assert (simple["mute"]["error"], simple["mute"]["pushed"]) == ("AirflowFailException", {})
    assert "no JSON object" in simple["mute"]["words"]


def test_a_verb_that_is_killed_fails_its_task(simple: dict[str, Any]) -> None:
    assert (simple["dies"]["error"], "exit code -9" in simple["dies"]["words"]) == ("AirflowException", True)


def test_a_verb_sees_nothing_of_airflows_own_configuration(simple: dict[str, Any]) -> None:
    names = simple["environment"]["result"]["names"]
    assert [name for name in names if name.startswith("AIRFLOW__")] == []
    assert "AIRFLOW_CTX_DAG_RUN_ID" in names, "the run's name is who holds the run"
    assert simple["environment"]["result"]["stdin"] == ""


@pytest.mark.parametrize("how", ["sleeps", "stubborn"])
def test_a_task_that_is_killed_ends_its_verb_and_what_that_started(tmp_path: Path, how: str) -> None:
    process = start(tmp_path, {"how": how, "grace": 1})
    running = pids(tmp_path)
    process.send_signal(signal.SIGTERM)
    found, _ = outcomes(process)
    assert found[0]["error"] == "AirflowException"
    assert all_end(running)


def test_a_task_that_takes_too_long_ends_its_verb(tmp_path: Path) -> None:
    process = start(tmp_path, {"how": "sleeps", "timeout": 2})
    running = pids(tmp_path)
    found, _ = outcomes(process)
    assert found[0]["error"] == "AirflowTaskTimeout"
    assert all_end(running)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_verb_does_not_outlive_a_task_process_that_was_shot(tmp_path: Path) -> None:
    process = start(tmp_path, {"how": "sleeps"})
    verb, child = pids(tmp_path)
    process.kill()
    process.communicate()
    assert all_end([verb])
    os.kill(child, signal.SIGKILL)
