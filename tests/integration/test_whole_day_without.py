"""Whole days of a shop that lacks something: whoever needs it waits, and the others are written to."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.day_shop import FIRST, SECOND
from tests.integration.dbt_days import at, codes, insert, rows
from tests.integration.test_whole_day import _here, world

pytestmark = pytest.mark.slow

DECIDED = """
select step, decision, reason, count(*) from outbox.decision
where as_of = %s and due_on = as_of group by 1, 2, 3 order by 1, 2, 3
"""


def decided(day: str) -> dict[str, set[str]]:
    """step -> what was decided about those who were due that day, `send` or `hold/reason`; the holdout apart."""
    found: dict[str, set[str]] = {}
    for step, decision, reason, _ in rows(DECIDED, day):
        if decision != "holdout":
            found.setdefault(step, set()).add(decision if reason is None else f"{decision}/{reason}")
    return found


def proposed(day: str) -> set[tuple[str, str]]:
    """(step, decision) of the build that has just ended, for those who were due that day; the holdout apart."""
    query = "select distinct step, decision from cohorts.fct_decisions where not is_archived and due_on = %s"
    return {(step, decision) for step, decision in rows(query, day) if decision != "holdout"}


def test_without_products_the_steps_that_recommend_nothing_go_on(
    postgres: str, template_database: str, tmp_path: Path
) -> None:
    with world(postgres, template_database, tmp_path) as it:
        codes(it.connection, "winback_discount10", 40, first=100)
        it.connection.execute("create table products as select * from raw.products")
        it.connection.execute("delete from raw.products")
        first = it.run()
        assert first["gate"]["held"] == []
        assert decided(FIRST) == {"day30": {"hold/nothing_to_recommend"}, "day60": {"send"}, "day90": {"send"}}
        assert {(step, state) for _, step, _, state in first["messages"]} == {
            ("day60", "accepted"),
            ("day90", "accepted"),
        }

        it.connection.execute("insert into raw.products select * from products")
        _here("build", "--as-of", SECOND, "--holder", "second")
        assert proposed(FIRST) >= {("day30", "send")}, "held on the first day, and served when there are products again"


def lived_through(connection: psycopg.Connection) -> None:
    """An ordinary day before: of a hundred people sixty could be written to."""
    day = date.fromisoformat(FIRST) - timedelta(days=1)
    insert(connection, "outbox.definition", hash="before", kind="bundle", body={"campaigns": {}})
    row = connection.execute(
        "insert into outbox.run (mode, clock, definition_hash, target, holder, lease_until)"
        " values ('simulated', %s, 'before', 'prod', 'before', now()) returning run_id",
        [at(str(day), "05:00")],
    ).fetchone()
    assert row is not None
    insert(connection, "outbox.run_day", run_id=row[0], as_of=day, clock=at(str(day), "05:00"))
    connection.execute(
        "insert into outbox.decision (run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision,"
        " reason, definition_hash, archived_at)"
        " select %s, %s, 'before' || n, 'winback', 'day30', %s, %s, 'live',"
        " case when n <= 60 then 'send' else 'skip' end, case when n > 60 then 'no_email_consent' end, 'before', now()"
        " from generate_series(1, 100) as n",
        [row[0], day, day - timedelta(days=30), day],
    )
    for state in ("built", "validated", "enqueued"):
        connection.execute("update outbox.run set state = %s where run_id = %s", [state, row[0]])


def test_a_load_that_lost_all_consents_settles_nobody(postgres: str, template_database: str, tmp_path: Path) -> None:
    with world(postgres, template_database, tmp_path) as it:
        codes(it.connection, "winback_discount10", 40, first=100)
        lived_through(it.connection)
        it.connection.execute("update raw.contacts set consent_email = null")
        built = _here("build", "--as-of", FIRST, "--holder", "first")
        gate: dict[str, Any] = _here("gate", "--run", built["run_id"], "--continue")
        assert [reason.split()[0] for reason in gate["why"]] == ["reachable_share_as_usual"]
        enqueued = _here("enqueue", "--run", built["run_id"])
        assert set(enqueued["decisions"]) == {"hold"}
        assert decided(FIRST) == {step: {"hold/gate_failed"} for step in ("day30", "day60", "day90")}

        it.connection.execute("update raw.contacts set consent_email = true")
        _here("build", "--as-of", SECOND, "--holder", "second")
        assert proposed(FIRST) == {("day30", "send"), ("day60", "send"), ("day90", "send")}
