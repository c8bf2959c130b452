"""The gate through Great Expectations and the command: verdicts, failing closed, and what gets into files."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from cli import gate as verb
from cli.main import register
from expectations import gate
from outbox.enqueue import enqueue
from tests.integration.gate_day import Built, build, folders
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

pytestmark = pytest.mark.slow


def second_campaign() -> dict[str, Any]:
    """A campaign that asks for nothing today."""
    from campaigns import definition
    from warehouse import settings

    body = definition.load_all(settings.read().home / "campaigns").campaigns["winback"].document()
    return {**body, "campaign": "second", "mode": "live", "clock": "last_activity", "steps": body["steps"][:1]}


@pytest.fixture
def built(warehouse: str) -> Iterator[Built]:
    with connect(Role.OWNER) as owner:
        yield build(owner, second_campaign())


def verdicts(built: Built, tmp_path: Path) -> dict[str, gate.Verdict]:
    return {it.campaign: it for it in gate.judge(built.run_id, **folders(tmp_path)).verdicts}


def test_a_right_day_passes_and_a_wrong_one_holds_its_own_campaign_alone(built: Built, tmp_path: Path) -> None:
    first = verdicts(built, tmp_path)
    assert {name: [str(x) for x in it.failures] for name, it in first.items()} == {"winback": [], "second": []}
    assert first["winback"].expected == {"day30": 3, "day60": 1, "day90": 1}

    built.owner.execute("update raw.contacts set consent_email = false where contact_id in ('mailed', 'offered')")
    built.owner.execute("update handoff.send_requests set not_after = not_before where contact_id = 'texted'")
    built.owner.commit()
    found = verdicts(built, tmp_path)
    assert found["second"].result == "passed"
    assert {it.rule: it.count for it in found["winback"].failures} == {
        "consent_for_each_channel": 2,
        "due_and_timely": 1,
    }
    assert found["winback"].document()["failed"] == ["consent_for_each_channel", "due_and_timely"]


def test_a_request_with_fewer_recommendations_than_its_template_shows_holds_the_campaign(
    built: Built, tmp_path: Path
) -> None:
    built.owner.execute(
        "update handoff.send_requests set merge_fields = merge_fields - array['rec3_name', 'rec3_image_url']"
        " where contact_id = 'mailed'"
    )
    built.owner.commit()
    found = verdicts(built, tmp_path)
    assert {name: {it.rule: it.count for it in verdict.failures} for name, verdict in found.items()} == {
        "winback": {"merge_fields_complete": 2},
        "second": {},
    }


def test_a_rule_that_cannot_be_asked_holds_the_campaign(built: Built, tmp_path: Path) -> None:
    built.owner.execute("drop table events.preference")
    built.owner.commit()
    found = verdicts(built, tmp_path)["winback"]
    assert [(it.rule, it.count) for it in found.failures] == [("nobody_opted_out", None)]
    assert "could not be asked" in str(found.failures[0])


def test_an_error_while_judging_holds_the_campaign_and_does_not_quote_it(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("the row of mailed@example.com")

    monkeypatch.setattr(gate.volume, "share_rule", fail)
    found = verdicts(built, tmp_path)["winback"]
    assert [it.rule for it in found.failures] == ["could_not_be_judged"]
    assert "ValueError" in str(found.failures[0])
    assert "mailed" not in str(found.failures[0])


def test_no_address_code_or_password_gets_into_a_file_or_page(built: Built, tmp_path: Path, warehouse: str) -> None:
    built.owner.execute("update handoff.send_requests set not_after = not_before, channels = '{email}'")
    built.owner.execute("drop view staging.stg_raw__coupon_codes")
    built.owner.commit()
    assert verdicts(built, tmp_path)["winback"].result == "held"
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in {".html", ".json", ".yml"}]
    text = "\n".join(path.read_text() for path in files)
    assert "due_and_timely" in text
    assert "${WINBACK_GX_URL}" in text
    assert (tmp_path / "docs" / "index.html").exists()
    secrets = [urlsplit(warehouse).password, "mailed@example.com", "+12125550", "TEN-1", "push.example.com"]
    assert [secret for secret in secrets if secret and secret in text] == []


def test_a_run_that_does_not_exist_is_an_error(warehouse: str, tmp_path: Path) -> None:
    with pytest.raises(WinbackError, match="There is no run"):
        gate.judge(uuid.uuid4(), **folders(tmp_path))


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The campaigns the team was told of, each time; and files go to the test's own folder."""
    calls: list[list[str]] = []
    monkeypatch.setenv("WINBACK_LOCAL", str(tmp_path))
    monkeypatch.setattr(verb, "tell_team", lambda run, held: calls.append(list(held)))
    return calls


def run_gate(built: Built, *options: str) -> Any:
    return CliRunner().invoke(register(("gate", "ready")), ["gate", "--run", str(built.run_id), *options])


def test_the_command_writes_the_verdict_down_and_enqueue_takes_it(built: Built, told: list[list[str]]) -> None:
    result = run_gate(built)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert (said["held"], said["request_count"], said["first_live"]) == ([], 4, ["second", "winback"])
    assert told == []
    again = run_gate(built)
    assert json.loads(again.stdout.splitlines()[-1]) == said, "a retried task is told the same"
    assert enqueue(built.run_id).messages == 4
    later = uuid.uuid4()
    with connect(Role.OWNER) as owner:
        owner.execute(
            "insert into outbox.run (run_id, mode, clock, definition_hash, target, holder, lease_until)"
            " select %s, mode, clock, definition_hash, target, 'later', lease_until from outbox.run where run_id = %s",
            [later, built.run_id],
        )
    assert gate.first_live(built.run_id) == ["second", "winback"], "its own messages make no run a later one"
    assert gate.first_live(later) == ["second"], "of which nothing has left yet"


@pytest.mark.parametrize(("policy", "minutes"), [("first", 300), ("always", 300), ("never", 30)])
def test_a_run_that_waits_for_a_person_is_not_given_up_before_the_approval_is(
    built: Built, told: list[list[str]], monkeypatch: pytest.MonkeyPatch, policy: str, minutes: int
) -> None:
    monkeypatch.setenv("WINBACK_APPROVAL", policy)
    assert run_gate(built).exit_code == 0
    with connect(Role.ANALYST) as connection:
        row = connection.execute(
            "select extract(epoch from lease_until - clock_timestamp()) / 60, mode from outbox.run where run_id = %s",
            [built.run_id],
        ).fetchone()
    assert row is not None
    assert row[1] == "live"
    assert minutes - 1 < row[0] <= minutes


def test_a_held_campaign_makes_the_command_fail_unless_told_to_go_on(built: Built, told: list[list[str]]) -> None:
    built.owner.execute("update handoff.send_requests set not_after = not_before where contact_id = 'mailed'")
    built.owner.commit()
    result = run_gate(built)
    assert result.exit_code == 1
    assert "holds the day of winback" in result.stderr
    assert "due_and_timely (1 found)" in result.stderr
    going_on = run_gate(built, "--continue")
    assert going_on.exit_code == 0
    said = json.loads(going_on.stdout.splitlines()[-1])
    assert (said["held"], [why.partition(" ")[0] for why in said["why"]]) == (["winback"], ["due_and_timely"])
    assert told == [["winback"], ["winback"]]
    frozen = enqueue(built.run_id)
    assert (frozen.messages, dict(frozen.withheld)) == (0, {"winback": "gate_failed"})


def test_what_changes_after_the_gate_has_looked_is_refused_by_enqueue(built: Built, told: list[list[str]]) -> None:
    run_gate(built)
    built.owner.execute("update handoff.send_requests set offer = 'another' where contact_id = 'mailed'")
    built.owner.commit()
    with pytest.raises(WinbackError, match="changed since the gate judged it"):
        enqueue(built.run_id)


def test_a_run_of_another_target_is_refused_and_the_team_is_not_told(built: Built, told: list[list[str]]) -> None:
    """An alert about a developer's run would stand in the place of the one about the same day of production."""
    built.owner.execute("update outbox.run set target = 'dev' where run_id = %s", [built.run_id])
    built.owner.commit()
    result = run_gate(built, "--continue")
    assert isinstance(result.exception, WinbackError)
    assert "was built for the dbt target 'dev'" in str(result.exception)
    assert told == []
    row = built.owner.execute("select state, verdict from outbox.run where run_id = %s", [built.run_id]).fetchone()
    assert row == ("failed", {})


def test_a_run_that_was_never_built_is_not_judged(built: Built, told: list[list[str]]) -> None:
    built.owner.execute("update outbox.run set state = 'failed', detail = 'dbt' where run_id = %s", [built.run_id])
    built.owner.commit()
    result = run_gate(built)
    assert isinstance(result.exception, WinbackError)
    assert "is failed (dbt)" in str(result.exception)
