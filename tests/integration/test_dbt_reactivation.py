"""A campaign that goes by the last activity of any kind, waits after its own messages, and ends in a tag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration import dbt_definition
from tests.integration.dbt_days import at, begin, build, contact, database, decisions, enqueue, insert, order, rows
from tests.integration.gate_day import broken_rules
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

TAG = "customer_not-active_after-reactivation"


@pytest.fixture(scope="module")
def history(postgres: str, template_database: str) -> Iterator[dict[str, Any]]:
    """Five days decided and enqueued. Day -> {(contact, step): decision}; `tags <day>`: what was asked for;
    `gate <day>`: the rules of the gate that do not hold."""
    with database(postgres, template_database), connect(Role.OWNER) as connection:
        connection.autocommit = True
        _people(connection)
        told: dict[str, Any] = {}
        for day in ("2017-10-01", "2017-10-05", "2017-10-08", "2017-10-10", "2017-10-11"):
            run_id = begin(connection, day, definitions=[dbt_definition.reactivation()])
            build()
            told[day] = decisions(run_id)
            told[f"tags {day}"] = rows("select contact_id, tag, action from handoff.tag_requests")
            told[f"gate {day}"] = broken_rules(run_id)
            enqueue(connection, run_id)
            if day == "2017-10-01":
                _visit(connection, "created", at("2017-10-03"))
            if day == "2017-10-08":
                _visit(connection, "quiet", at("2017-10-09"))
            if day == "2017-10-10":
                _visit(connection, "machine", at("2017-10-08"))  # landed late
        yield told


def _people(connection: Any) -> None:
    contact(connection, "created", created_at=at("2017-07-03"))
    for contact_id in ("quiet", "visited", "machine", "here_today", "clicked"):
        contact(connection, contact_id)
        order(connection, f"o-{contact_id}", contact_id, at("2017-07-03"))
    _visit(connection, "visited", at("2017-08-01"))
    _visit(connection, "here_today", at("2017-10-01", "02:00"))
    for contact_id, kind, is_machine in (("machine", "opened", True), ("clicked", "clicked", False)):
        insert(
            connection, "raw.engagements", engagement_id=contact_id, contact_id=contact_id, kind=kind,
            channel="email", is_machine=is_machine, occurred_at=at("2017-08-01"),
        )  # fmt: skip


def _visit(connection: Any, contact_id: str, visited_at: Any) -> None:
    insert(connection, "raw.site_visits", visit_id=f"v-{contact_id}", contact_id=contact_id, visited_at=visited_at)


def test_ninety_days_without_any_sign_of_life_are_a_first_email(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["quiet", "first_email"] == "send"


def test_a_visit_or_a_click_starts_the_clock_anew(history: dict[str, Any]) -> None:
    assert not {"visited", "clicked"} & {contact_id for contact_id, _ in history["2017-10-01"]}


def test_a_machine_open_is_no_sign_of_life(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["machine", "first_email"] == "send"


def test_who_never_did_anything_began_on_the_day_they_were_created(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["created", "first_email"] == "send"


def test_a_visit_since_the_start_of_the_day_is_active_again(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["here_today", "first_email"] == "skip/active_again"


def test_the_second_email_follows_the_acceptance_of_the_first(history: dict[str, Any]) -> None:
    assert history["2017-10-05"]["quiet", "second_email"] == "send"
    assert history["2017-10-05"]["created", "second_email"] == "skip/active_again"


def test_who_stayed_away_is_tagged_without_a_message(history: dict[str, Any]) -> None:
    assert history["2017-10-08"]["quiet", "tag"] == "send"
    assert sorted(history["tags 2017-10-08"]) == [("machine", TAG, "add"), ("quiet", TAG, "add")]
    assert rows("select count(*) from outbox.message where step = 'tag'") == [(0,)]


def test_any_sign_of_life_takes_the_tag_away(history: dict[str, Any]) -> None:
    assert history["tags 2017-10-10"] == [("quiet", TAG, "remove")]
    assert ("machine", TAG, "remove") in history["tags 2017-10-11"], (
        "however late it landed, within the days of a message"
    )


def test_a_tag_is_asked_for_once(history: dict[str, Any]) -> None:
    assert ("quiet", "tag") not in history["2017-10-10"]


def test_the_gate_lets_every_day_of_it_pass(history: dict[str, Any]) -> None:
    assert {day: history[day] for day in history if day.startswith("gate")} == {
        f"gate 2017-10-{day}": set() for day in ("01", "05", "08", "10", "11")
    }
