"""Whole days through the real verbs and the real dbt project: build to dispatch, once, again, and twice at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiosql
import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from cli.main import register
from outbox.sql import FOLDER, queries
from senders import registry
from senders.contract import Outcome
from tests.integration.day_shop import CODES, FIRST, LEDGER, SECOND, fill, uncapped
from tests.integration.dbt_days import codes, database, rows
from tests.integration.outbound import ACCEPT, Outbound
from warehouse import connections, settings
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

WINBACK = str(Path(sys.executable).with_name("winback"))

SHOWN = {
    **LEDGER,
    "dry": "select count(*) from outbox.decision where reason = 'pool_dry' and as_of = '2017-10-01'",
    "asked": "select kind, subject from handoff.notice_requests",
    "short": "select promotion, unserved from allocations.coupon_shortfalls where unserved > 0",
    "runway": "select promotion from allocations.coupon_runway order by 1",
    "runs": "select as_of::text, state from outbox.run join outbox.run_day using (run_id) order by created_at",
}


FORGETFUL = """
alter table outbox.message enable row level security;
create policy remembered on outbox.message to winback_sender, winback_analyst, winback_webhook using (true);
alter table outbox.decision enable row level security;
create policy remembered on outbox.decision to winback_sender, winback_analyst, winback_webhook using (true);
alter table outbox.message drop constraint message_step_once;
alter table outbox.message drop constraint message_episode_excl;
drop index outbox.coupon_grant_step;
"""
"""Takes away what keeps a day that is run again from writing twice: dbt's memory of decisions and messages (so neither
settled episodes nor `already_messaged`), and the keys that would refuse what it then asks for."""


def forgetful_freeze() -> Any:
    """The freezing statement without its look at the messages that are there."""
    text = (FOLDER / "enqueue.sql").read_text()
    before, looking, after = text.partition(" and not exists (\n        select from outbox.message m")
    _, ordered, rest = after.partition("    order by r.contact_id")
    assert looking and ordered, "the statement no longer looks, or in other words"
    return aiosql.from_str(f"{before}\n{ordered}{rest}", "psycopg", kwargs={"row_factory": dict_row}).freeze


@dataclass
class World:
    """A warehouse of its own with the small shop, and everything that left it."""

    connection: psycopg.Connection
    out: Outbound = field(default_factory=Outbound)
    heard: list[str] = field(default_factory=list)

    def listen(self, title: str, body: str, notice_id: str) -> Outcome:
        """Takes an alert to the team."""
        self.heard.append(title)
        return ACCEPT

    def run(self) -> dict[str, Any]:
        """The first day, to its end; what the verbs answered and what there is now."""
        answers = _chain(_here)
        _here("dispatch", "--run", answers["build"]["run_id"])
        return {**answers, **self.seen()}

    def seen(self) -> dict[str, Any]:
        """What lies in the ledger and what was sent."""
        return {
            **{name: rows(query) for name, query in SHOWN.items()},
            "sent": [message.message_id for _, message in self.out.sent],
            "heard": list(self.heard),
        }


@contextmanager
def world(postgres: str, template: str, folder: Path) -> Iterator[World]:
    """A new one, with its campaigns in `folder`."""
    with database(postgres, template), connect(Role.OWNER) as connection, pytest.MonkeyPatch.context() as patch:
        connection.autocommit = True
        it = World(connection)
        _environment(patch, folder)
        patch.setattr(registry, "notifier", lambda: it.listen)
        patch.setattr(registry, "Senders", lambda **_: it.out.factory)
        fill(connection)
        yield it


@pytest.fixture(scope="module")
def told(postgres: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The ledger after each part: the day, the same day again, the next day by two processes at once."""
    with world(postgres, template_database, tmp_path_factory.mktemp("remembered")) as it:
        found: dict[str, Any] = {"day": it.run(), "again": it.run()}
        codes(it.connection, "winback_discount10", 40, first=CODES + 1)
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(_chain, _there, f"holder {number}", SECOND) for number in (1, 2)]
            found["both"] = [each.result() for each in both]
        _here("dispatch", "--as-of", SECOND)
        found["next"] = it.seen()
    return found


@pytest.fixture(scope="module")
def forgotten(postgres: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The control: the same day again where nothing remembers the first time."""
    with world(postgres, template_database, tmp_path_factory.mktemp("forgetful")) as it:
        found = {"day": it.run()}
        it.connection.execute(FORGETFUL)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(queries, "freeze", forgetful_freeze())
            found["again"] = it.run()
    return found


def _environment(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Sandboxes that nobody calls, for this process and those it starts."""
    for conn_id in (*connections.SENDERS, connections.ALERTS):
        extra = {"sandbox": True, "emails": "team@example.com", "from": "alerts@example.com"}
        document = {"host": "http://127.0.0.1:9", "login": "AC1", "password": "x", "extra": extra}
        patch.setenv(connections.variable(conn_id), json.dumps(document))
    patch.setenv("WINBACK_PUBLIC_URL", "https://links.example.com")
    patch.setenv("WINBACK_TOKEN_KEY", "test")
    patch.setenv("WINBACK_LOCAL", str(settings.read().local / "day"))  # one for all, and nobody's: dbt parses once
    patch.setenv("WINBACK_CAMPAIGNS", str(uncapped(folder / "campaigns")))


def _here(*arguments: str) -> dict[str, Any]:
    """A verb in this process, to its good end; its line of JSON."""
    done = CliRunner().invoke(register(), arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _there(*arguments: str) -> dict[str, Any]:
    """The same in a process of its own."""
    done = subprocess.run(
        [WINBACK, *arguments], env=os.environ.copy(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _chain(winback: Any, holder: str = "holder", day: str = FIRST) -> dict[str, Any]:
    """Build, gate and enqueue of a day, and what enqueue answers when it is asked again, as a cleared task asks.

    A second chain by the same holder is what clearing `build` of a finished DAG run does: its run id is the holder.
    """
    built = winback("build", "--as-of", day, "--holder", holder)
    run_id = built["run_id"]
    return {
        "build": built,
        "gate": winback("gate", "--run", run_id),
        "enqueue": winback("enqueue", "--run", run_id),
        "cleared": winback("enqueue", "--run", run_id),
    }


def _episode(message: tuple[Any, ...]) -> tuple[Any, ...]:
    """Contact, step and the day the clock started."""
    return message[:3]


def test_a_day_goes_from_the_build_to_the_recipients(told: dict[str, Any]) -> None:
    day = told["day"]
    assert day["gate"]["held"] == []
    assert {state for *_, state in day["messages"]} == {"accepted"}
    assert {step for _, step, *_ in day["messages"]} == {"day30", "day60", "day90"}
    assert day["enqueue"]["messages"] == len(day["messages"]) == len(day["sent"]) == len(set(day["sent"]))
    with_code = [contact_id for contact_id, step, *_ in day["messages"] if step != "day30"]
    assert sorted(contact_id for _, contact_id, *_ in day["grants"]) == with_code


def test_a_dry_pool_holds_people_and_is_told_once(told: dict[str, Any]) -> None:
    day = told["day"]
    assert [step for _, step, *_ in day["messages"]].count("day60") == CODES
    assert day["dry"][0][0] > 0
    assert ("pool_dry", "winback_discount10") in day["asked"]
    assert day["short"] == [("winback_discount10", day["dry"][0][0])]
    assert day["runway"] == [("winback_discount10",), ("winback_discount20",)]
    assert day["notices"] == [("pool_dry", "winback_discount10", FIRST, "accepted")]
    assert len(day["heard"]) == 1


def test_the_same_day_again_by_its_own_holder_adds_nothing(told: dict[str, Any]) -> None:
    day, again = told["day"], told["again"]
    assert again["build"]["run_id"] != day["build"]["run_id"], "decided anew"
    for what in (*LEDGER, "sent", "heard"):
        assert again[what] == day[what], what
    assert (again["enqueue"]["messages"], again["enqueue"]["grants"]) == (0, 0)


def test_without_a_memory_the_same_day_again_writes_to_everybody_twice(forgotten: dict[str, Any]) -> None:
    day, again = forgotten["day"], forgotten["again"]
    first, second = (Counter(_episode(message) for message in run["messages"]) for run in (day, again))
    twice = {episode for episode, messages in second.items() if messages == 2}
    assert twice == {episode for episode in first if episode[1] != "day60"}, "the pool of day 60 has no code left"
    assert len(again["sent"]) == len(day["sent"]) + len(twice)
    assert len(again["grants"]) > len(day["grants"])


def test_enqueue_asked_again_answers_the_same(told: dict[str, Any]) -> None:
    for chain in (told["day"], told["again"], *told["both"]):
        assert chain["cleared"] == chain["enqueue"]


def test_two_processes_at_once_leave_one_message_an_episode_and_one_grant_a_code(told: dict[str, Any]) -> None:
    new = told["next"]
    episodes = [_episode(message) for message in new["messages"]]
    assert len(episodes) == len(set(episodes))
    granted = [code for code, *_ in new["grants"]]
    assert len(granted) == len(set(granted))
    assert len(new["sent"]) == len(set(new["sent"])) == len(episodes) > len(told["again"]["sent"])
    first, second = told["both"]
    assert uuid.UUID(first["build"]["run_id"]) != uuid.UUID(second["build"]["run_id"])
    added = len(episodes) - len(told["again"]["messages"])
    assert sorted(chain["enqueue"]["messages"] for chain in told["both"]) == [0, added]
    assert [run for run in new["runs"] if run[0] == SECOND] == [(SECOND, "enqueued")] * 2


def test_people_held_by_a_dry_pool_are_served_once_there_are_codes(told: dict[str, Any]) -> None:
    served = {contact_id for contact_id, step, *_ in told["next"]["messages"] if step == "day60"}
    of_the_first_day = {contact_id for contact_id in served if contact_id.startswith("day60-2017-08-02")}
    assert len(of_the_first_day) == CODES + told["day"]["dry"][0][0]
