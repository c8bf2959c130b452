"""The command's own words: its version, and what it says to a day that cannot be read."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from cli import context
from cli.main import register


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(register(()), ["--version"])
    assert (told.exit_code, told.output) == (0, f"winback {version('winback')}\n")


@pytest.mark.parametrize("verb", ["ready", "build", "run", "explain", "preview", "dispatch"])
def test_a_day_that_cannot_be_read_is_answered_with_how_to_write_it(verb: str) -> None:
    given = [verb, *(["7"] if verb == "explain" else []), "--as-of", "22.11.2026"]
    told = CliRunner().invoke(register([verb]), given)
    assert told.exit_code == 2
    words = " ".join(told.output.replace("│", " ").split())
    assert "'22.11.2026' is no day; write YYYY-MM-DD, such as 2026-11-22." in words


def test_a_shell_is_told_the_next_step_and_a_task_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AIRFLOW_CTX_DAG_RUN_ID", raising=False)
    context.next_step("winback gate --run 1")
    context.result({"run_id": 1})
    assert capsys.readouterr().out == 'next: winback gate --run 1\n{"run_id": 1}\n'
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual")
    context.next_step("winback gate --run 1")
    assert capsys.readouterr().out == ""
