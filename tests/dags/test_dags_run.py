"""The daily DAG through Airflow, with a `winback` that only says its lines: order, days, failing, holding, approving.

All scenarios run once, in one Airflow process (its start is what costs); each test looks at what became of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from tests.dags.airflow_home import HOME, Home
from tests.dags.mailbox import Mailbox

pytestmark = pytest.mark.slow

RUN = "11111111-1111-1111-1111-111111111111"
ALL = ["ready", "build", "gate", "enqueue", "dispatch", "dispatch", "report"]
SECRET = "SG.not-to-be-seen-anywhere"
CONNECTION = {
    "conn_type": "http",
    "host": "https://api.sendgrid.com",
    "password": SECRET,
    "extra": json.dumps({"webhook_public_key": "also-secret-key"}),
}
FIRST_LIVE = {"gate": {"says": {"mode": "live", "first_live": ["winback"]}}}
HELD = {"gate": {"says": {"held": ["winback"], "why": ["codes_once (2 found): No code is promised twice."]}}}
DAY = {"as_of": "2017-10-01"}

SCENARIOS: dict[str, dict[str, Any]] = {
    "right": {"conf": DAY},
    "no_conf": {"date": "2027-11-20T02:00:00+00:00"},
    "held": {"conf": DAY, "story": HELD},
    "held_and_empty": {"conf": DAY, "story": {**HELD, "enqueue": {"says": {"shards": []}}}},
    **{
        f"{verb}_fails": {"conf": DAY, "story": {verb: {"fails": 9}}}
        for verb in ("ready", "gate", "dispatch", "report")
    },
    "tried_again": {
        "conf": DAY,
        "story": {"build": {"fails": 1}},
        "env": {"WINBACK_RETRIES": "", "WINBACK_RETRY_SECONDS": "1"},
    },
    "approved": {"conf": {**DAY, "approve": True}, "story": FIRST_LIVE},
    "not_approved": {"conf": {**DAY, "approve": False}, "story": FIRST_LIVE},
    "known_live": {"conf": DAY, "story": {"gate": {"says": {"mode": "live"}}}},
    "connected": {"conf": DAY, "env": {"AIRFLOW_CONN_SENDGRID_DEFAULT": json.dumps(CONNECTION)}},
}


@dataclass
class Outcome:
    """What became of one scenario."""

    code: object
    state: str
    tasks: Mapping[str, str]
    calls: list[tuple[str, list[str], list[str]]]
    log: str
    run_id: str

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, *_ in self.calls]


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as it:
        yield it


@pytest.fixture(scope="module")
def ran(shared_airflow: Home, mailbox: Mailbox) -> dict[str, Outcome]:
    folder = shared_airflow.folder
    alerted = {"conf": DAY, "story": {"build": {"fails": 9}}, "env": mailbox.connections()}
    (folder / "scenarios.json").write_text(json.dumps({**SCENARIOS, "alerted": alerted}))
    done = shared_airflow.run(
        [sys.executable, "-m", "tests.dags.scenarios", str(folder), str(folder / "scenarios.json")],
        WINBACK_RETRIES="0",
        PYTHONPATH=str(HOME),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return {name: _read(folder, name) for name in (*SCENARIOS, "alerted")}


def _read(folder: Path, name: str) -> Outcome:
    found = json.loads((folder / f"{name}.json").read_text())
    tasks = {task["task_id"]: task["state"] for task in found["tasks"]}
    log = (folder / f"{name}.log").read_text()
    return Outcome(found["code"], found["state"], tasks, found["calls"], log, found["run_id"])


def test_a_day_runs_its_verbs_in_order_and_each_shard_is_dispatched(ran: dict[str, Outcome]) -> None:
    day = ran["right"]
    assert (day.code, day.state, set(day.tasks.values())) == (0, "success", {"success"})
    assert day.verbs == ALL
    arguments = [call[1] for call in day.calls]
    assert arguments[0] == ["--as-of", "2017-10-01"]
    assert arguments[2] == ["--run", RUN, "--continue"]
    assert arguments[3] == ["--run", RUN]
    assert sorted(arguments[4:6]) == [["--run", RUN, "--shard", f"{number}/2"] for number in (1, 2)]  # side by side


def test_the_day_is_the_logical_date_in_the_campaigns_zone(ran: dict[str, Outcome]) -> None:
    assert ran["no_conf"].calls[0][1] == ["--as-of", "2027-11-19"], "two in the morning in UTC is still the day before"


def test_a_held_campaign_fails_the_run_after_the_others_were_served(ran: dict[str, Outcome]) -> None:
    day = ran["held"]
    assert day.code != 0
    assert day.verbs == ALL, "the others are sent, and the report is written"
    assert "The gate held the day of winback.\n  codes_once (2 found): No code is promised twice." in day.log
    assert (day.state, day.tasks["verdict"]) == ("failed", "failed")


def test_a_held_day_fails_the_run_even_when_there_is_nothing_to_dispatch(ran: dict[str, Outcome]) -> None:
    day = ran["held_and_empty"]
    assert (day.state, day.tasks["dispatch"], day.tasks["verdict"]) == ("failed", "skipped", "failed")


@pytest.mark.parametrize("verb", ["ready", "gate", "dispatch"])
def test_a_failing_task_fails_the_run_and_the_report_is_still_written(ran: dict[str, Outcome], verb: str) -> None:
    day = ran[f"{verb}_fails"]
    assert day.code != 0
    assert f"winback: {verb} cannot do it.\n  Mend it, then run it again." in day.log, "the verb's own words"
    assert ("enqueue" in day.verbs) == (verb == "dispatch")
    assert day.verbs[-1] == "report"
    assert (day.state, day.tasks[verb], day.tasks["report"]) == ("failed", "failed", "success")
    assert "Told through: nothing (alerts_smtp, alerts_webhook)" in day.log


def test_a_failed_run_is_told_by_mail_and_web_hook_where_there_are_connections(
    ran: dict[str, Outcome], mailbox: Mailbox
) -> None:
    told = f"winback_daily: build failed (task_failure), run {ran['alerted'].run_id}."
    assert mailbox.posted == [{"text": told}]
    mail = message_from_string(mailbox.mailed)
    text = b"".join(part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()).decode()
    assert (mail["To"], mail["Subject"], text) == ("team@example.com", "Winback: a run failed", told)
    assert "Told through: alerts_smtp, alerts_webhook" in ran["alerted"].log


def test_a_failing_report_does_not_fail_a_day_that_went_well_and_the_team_hears_of_it(ran: dict[str, Outcome]) -> None:
    day = ran["report_fails"]
    assert (day.code, day.tasks["report"], day.state) == (0, "failed", "success")
    told = f"winback_daily: report failed (AirflowFailException), run {day.run_id}. Told through: nothing"
    assert told in day.log


def test_a_task_is_tried_again_where_no_person_is_watching(ran: dict[str, Outcome]) -> None:
    assert ran["tried_again"].verbs.count("build") == 2
    assert ran["tried_again"].state == "success"
    assert ran["gate_fails"].verbs.count("gate") == 1, "WINBACK_RETRIES=0: a person is"


def test_an_answer_given_beforehand_decides_a_first_live_run(ran: dict[str, Outcome]) -> None:
    assert ran["approved"].calls[3][1] == ["--run", RUN]
    assert ran["not_approved"].calls[3][1] == ["--run", RUN, "--not-approved"]
    assert ran["not_approved"].state == "success"


def test_a_live_run_of_a_known_definition_asks_nobody(ran: dict[str, Outcome]) -> None:
    assert ran["known_live"].calls[3][1] == ["--run", RUN]
    assert "Waiting for response" not in ran["known_live"].log


def test_connections_reach_the_verb_and_show_nowhere(ran: dict[str, Outcome], shared_airflow: Home) -> None:
    day = ran["connected"]
    assert [call[2] for call in day.calls] == [["AIRFLOW_CONN_SENDGRID_DEFAULT"]] * len(ALL)
    stored = shared_airflow.metadata(
        "select value::text from xcom union all select rendered_fields::text from rendered_task_instance_fields"
    )
    for text in (day.log, *(str(row[0]) for row in stored)):
        assert SECRET not in text
        assert "also-secret-key" not in text


def test_xcom_holds_what_the_verb_said_key_by_key(ran: dict[str, Outcome], shared_airflow: Home) -> None:
    rows = shared_airflow.metadata(
        "select key, value::text from xcom where task_id = 'enqueue' and run_id = %s", ran["right"].run_id
    )
    assert dict(rows)["request_count"] == "3"
    assert json.loads(dict(rows)["return_value"]) == ["1/2", "2/2"]


def test_airflow_dags_test_runs_a_day_and_exits_with_its_state(airflow: Home) -> None:
    airflow.tell({"gate": {"fails": 1}})
    done = airflow.airflow("dags", "test", "winback_daily", "--conf", json.dumps(DAY), WINBACK_RETRIES="0")
    assert done.returncode != 0
    assert airflow.verbs() == ["ready", "build", "gate", "report"]
