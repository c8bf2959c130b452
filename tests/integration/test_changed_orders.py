"""Orders and contacts that change between two builds: what purchases, activity days and the histories make of them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.integration.dbt_days import at, begin, build, contact, database, insert, order, rows
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

SELECTED = ("fct_purchases", "int_activity_days", "order_statuses", "consents")
FIRST, SECOND = "2017-10-01", "2017-10-02"
SOLD = "2017-09-10"
BETWEEN = at(FIRST, "21:00")

Days = dict[tuple[str, str], int]


@pytest.fixture(scope="module")
def told(postgres: str, template_database: str) -> Any:
    """Two days built with changes between them, an older day, then everything from nothing: what each build left."""
    with database(postgres, template_database), connect(Role.OWNER) as connection:
        connection.autocommit = True
        _shop(connection)
        found: dict[str, Any] = {}
        for name, day in (("before", FIRST), ("after", SECOND), ("older day", "2017-09-20"), ("rebuilt", SECOND)):
            if name == "after":
                _changes(connection)
            run_id = begin(connection, day)
            _build(*(["--full-refresh"] if name == "rebuilt" else []))
            if name in ("before", "after"):
                for state in ("built", "validated", "enqueued"):
                    connection.execute("update outbox.run set state = %s where run_id = %s", [state, run_id])
            found[name] = {
                "purchases": _purchases(),
                "days": _days("purchase"),
                "visits": _days("visit"),
                "rewritten": set(rows("select contact_id, active_on::text from customers.int_activity_days"
                                      " where xmin = (select max(xmin::text::bigint)::text::xid"
                                      " from customers.int_activity_days)")),
            }  # fmt: skip
        found["statuses"] = rows(
            "select order_id, contact_id, status, dbt_valid_from, dbt_valid_to from history.order_statuses"
        )
        found["consents"] = rows(
            "select contact_id, has_email_consent, dbt_valid_from, dbt_valid_to, encode(email_hash, 'hex')"
            " from history.consents"
        )
        yield found


def _shop(connection: psycopg.Connection) -> None:
    for contact_id in (
        "cancels",
        "one_of_two",
        "corrects",
        "refunds",
        "gives",
        "takes",
        "moves",
        "puts_off",
        "ahead",
        "quiet",
        "late",
        "still",
    ):
        contact(connection, contact_id)
    for contact_id in ("cancels", "one_of_two", "corrects", "refunds", "gives", "moves", "puts_off", "quiet", "still"):
        order(connection, f"o-{contact_id}", contact_id, at(SOLD))
        order(connection, f"earlier-{contact_id}", contact_id, at("2017-08-10"))
    order(connection, "second", "one_of_two", at(SOLD, "18:00"))
    order(connection, "morning", "quiet", at(FIRST, "03:00"))
    order(connection, "preorder", "ahead", at(FIRST, "15:00"), updated_at=at("2017-08-20"))
    for number, when in enumerate((at(SOLD), at(FIRST, "04:00"), at(FIRST, "20:00"))):
        insert(connection, "raw.site_visits", visit_id=f"v{number}", contact_id="quiet", visited_at=when)


def _changes(connection: psycopg.Connection) -> None:
    for order_id, changes in {
        "o-cancels": "status = 'cancelled'",
        "o-one_of_two": "status = 'Cancelled'",
        "o-corrects": "total = 35",
        "o-refunds": "status = 'refunded', refunded_total = 15",
        "o-gives": "contact_id = 'takes'",
        "o-moves": f"ordered_at = '{at('2017-09-12')}'",
        "o-puts_off": f"ordered_at = '{at('2017-12-24')}'",
        "morning": "status = 'cancelled'",
    }.items():
        connection.execute(
            f"update raw.orders set {changes}, updated_at = %s where order_id = %s",  # type: ignore[arg-type]  # noqa: S608
            [BETWEEN, order_id],
        )
    order(connection, "late", "late", at("2017-09-11"), updated_at=BETWEEN)
    order(connection, "new", "quiet", at(FIRST, "19:00"))
    connection.execute(
        "update raw.contacts set consent_email = false, email = 'new@example.com', updated_at = %s"
        " where contact_id = 'quiet'",
        [BETWEEN],
    )


def _build(*arguments: str) -> None:
    build("--indirect-selection", "cautious", "--select", *(f"+{name}" for name in SELECTED), *arguments)


def _purchases() -> dict[str, tuple[Any, ...]]:
    return {
        order_id: row
        for order_id, *row in rows(
            "select order_id, contact_id, revenue::integer, is_refunded, purchased_at from customers.fct_purchases"
        )
    }


def _days(kind: str) -> Days:
    return {
        (contact_id, day): times
        for contact_id, day, times in rows(
            "select contact_id, active_on::text, times from customers.int_activity_days where kind = %s", kind
        )
    }


def test_a_cancelled_order_is_neither_a_purchase_nor_an_activity_any_more(told: dict[str, Any]) -> None:
    assert "o-cancels" in told["before"]["purchases"]
    assert told["before"]["days"]["cancels", SOLD] == 1
    assert not {"o-cancels", "o-one_of_two", "morning"} & set(told["after"]["purchases"])
    assert ("cancels", SOLD) not in told["after"]["days"]
    assert told["after"]["days"]["cancels", "2017-08-10"] == 1, "the other days stay"


def test_of_two_orders_of_a_day_the_other_still_counts(told: dict[str, Any]) -> None:
    assert (told["before"]["days"]["one_of_two", SOLD], told["after"]["days"]["one_of_two", SOLD]) == (2, 1)


def test_a_refund_keeps_its_day_and_a_correction_changes_the_revenue(told: dict[str, Any]) -> None:
    after = told["after"]["purchases"]
    assert (told["before"]["purchases"]["o-corrects"][1], after["o-corrects"][1]) == (20, 35)
    assert after["o-refunds"] == ["refunds", 5, True, at(SOLD)]
    assert told["after"]["days"]["refunds", SOLD] == 1


def test_an_order_that_becomes_another_contacts_counts_for_them_alone(told: dict[str, Any]) -> None:
    assert told["after"]["purchases"]["o-gives"][0] == "takes"
    assert ("gives", SOLD) not in told["after"]["days"]
    assert told["after"]["days"]["takes", SOLD] == 1


def test_an_order_whose_time_is_corrected_moves_to_its_day(told: dict[str, Any]) -> None:
    assert told["after"]["purchases"]["o-moves"][3] == at("2017-09-12")
    assert ("moves", SOLD) not in told["after"]["days"]
    assert told["after"]["days"]["moves", "2017-09-12"] == 1


def test_an_order_of_the_future_is_a_purchase_once_its_time_has_come(told: dict[str, Any]) -> None:
    assert "preorder" not in told["before"]["purchases"]
    assert told["after"]["purchases"]["preorder"][3] == at(FIRST, "15:00")
    assert told["after"]["days"]["ahead", FIRST] == 1


def test_an_order_that_is_put_off_is_no_purchase_before_its_time(told: dict[str, Any]) -> None:
    assert "o-puts_off" in told["before"]["purchases"]
    assert "o-puts_off" not in told["after"]["purchases"]
    assert ("puts_off", SOLD) not in told["after"]["days"]


def test_a_late_order_counts_on_the_day_it_was_placed(told: dict[str, Any]) -> None:
    assert "late" in told["after"]["purchases"]
    assert told["after"]["days"]["late", "2017-09-11"] == 1


def test_the_last_day_that_was_run_is_written_again_whole(told: dict[str, Any]) -> None:
    assert (told["before"]["days"]["quiet", FIRST], told["before"]["visits"]["quiet", FIRST]) == (1, 1)
    assert (told["after"]["days"]["quiet", FIRST], told["after"]["visits"]["quiet", FIRST]) == (1, 2)
    assert told["after"]["purchases"].keys() >= {"new"}


def test_only_contacts_with_changed_orders_and_the_last_days_are_written_again(told: dict[str, Any]) -> None:
    changed = {"cancels", "one_of_two", "corrects", "refunds", "gives", "takes", "moves", "puts_off", "late", "quiet"}
    assert {contact_id for contact_id, day in told["after"]["rewritten"] if day < FIRST} == changed
    assert ("still", SOLD) in told["after"]["days"]


def test_running_an_older_day_once_more_takes_nothing_away(told: dict[str, Any]) -> None:
    for what in ("purchases", "days", "visits"):
        assert told["older day"][what] == told["after"][what]


def test_a_rebuild_from_nothing_says_the_same(told: dict[str, Any]) -> None:
    for what in ("purchases", "days", "visits"):
        assert told["rebuilt"][what] == told["after"][what]


def test_the_histories_keep_what_was_and_since_when_it_is_not(told: dict[str, Any]) -> None:
    assert sorted(row[1:] for row in told["statuses"] if row[0] == "o-cancels") == [
        ("cancels", "cancelled", BETWEEN, None),
        ("cancels", "completed", at(SOLD), BETWEEN),
    ]
    assert {(row[1], row[4]) for row in told["statuses"] if row[0] == "o-gives"} == {
        ("gives", BETWEEN),
        ("takes", None),
    }
    assert len([row for row in told["statuses"] if row[0] == "earlier-quiet"]) == 1
    old, new = sorted((row for row in told["consents"] if row[0] == "quiet"), key=lambda row: row[2])
    assert (old[1:4], new[1:4]) == ((True, at("2016-01-01"), BETWEEN), (False, BETWEEN, None))
    assert old[4] != new[4]
    assert len([row for row in told["consents"] if row[0] == "cancels"]) == 1
