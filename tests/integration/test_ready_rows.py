"""`winback ready` on what the shop's rows say: whom nobody could write to, what was bought, what there is to show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.integration.ready_day import START, order, ready, run_before, vouch
from warehouse import connections
from warehouse.connect import Role, connect


@pytest.fixture
def owner(warehouse: str) -> Iterator[psycopg.Connection]:
    with connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("insert into raw.contacts (contact_id) values ('somebody')")
        yield connection


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ("delete from raw.products", "has no product to show"),
        ("delete from raw.products where product_id > '2'", "has 2 products to show"),
        ("update raw.products set image_url = replace(image_url, 'https', 'http')", "has no product to show"),
        ("update raw.products set product_url = '/p' where product_id = '3'", "has 2 products to show"),
        ("update raw.products set in_stock = false where product_id = '3'", "has 2 products to show"),
        ("update raw.products set launched_at = '2017-10-02' where product_id = '3'", "has 2 products to show"),
        ("select", None),
    ],
)
def test_too_few_products_to_show_are_told_and_hold_only_whom_they_are_for(
    owner: psycopg.Connection, changes: str, there: str | None
) -> None:
    vouch(owner, START)
    owner.execute(
        "insert into raw.products (product_id, name, price, image_url, product_url, updated_at)"
        " select n::text, 'x', 1, 'https://a.example.com/1.png', 'https://a.example.com/1', now()"
        " from generate_series(1, 3) as n"
    )
    owner.execute(changes)  # type: ignore[arg-type]
    result = ready()
    assert result.exit_code == 0, result.output
    told = (
        f"raw.products {there} (in stock, with a name, a price, and a picture and a page whose addresses begin with "
        "https://), and day30 of winback shows 3: its people are held until there are more, and the other steps go on."
    )
    assert [line for line in result.stdout.splitlines() if "to show" in line] == ([told] if there else [])


def told_of(what: str) -> list[str]:
    """The lines about it of a `ready` that lets the day go on."""
    result = ready()
    assert result.exit_code == 0, result.output
    return [line for line in result.stdout.splitlines() if what in line]


def test_codes_that_count_only_later_are_told(owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    vouch(owner, START)
    insert = "insert into raw.coupon_codes (promotion, code, loaded_at) values ('winback_discount10', %s, %s)"
    for number in (1, 2):
        owner.execute(insert, [f"T10-{number}", START + timedelta(days=number)])
    assert told_of("winback_discount") == [
        "winback_discount10 has 2 codes, and the first of them counts from 2017-10-02 04:00 UTC on: a run of this day "
        "finds none. (`winback load codes` has --loaded-at; loaded_at of raw.coupon_codes says it.)"
    ]
    builds = START + timedelta(hours=5)
    owner.execute(insert, ["T10-3", builds + timedelta(minutes=1)])
    assert "winback_discount10 has 3 codes" in ready().stdout, "the run of the day stands before its build's hour"
    for conn_id in connections.SENDERS:
        monkeypatch.setenv(connections.variable(conn_id), json.dumps({"login": "AC1", "password": "x"}))
    assert not told_of("winback_discount"), "a live run has the clock of the present"
    for conn_id in connections.SENDERS:
        monkeypatch.delenv(connections.variable(conn_id))
    owner.execute(insert, ["T10-4", builds])
    assert not told_of("winback_discount")


def test_nobody_to_write_to_refuses_the_day(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    owner.execute("delete from raw.contacts")
    error = str(ready().exception)
    assert "raw.contacts is empty: everybody who is due would be left out for good" in error
    assert "Nothing was decided and nothing was sent." in error


def test_before_the_first_run_every_order_must_have_a_status_that_is_known(owner: psycopg.Connection) -> None:
    """Orders of 30 to 90 days ago decide the first cohorts, whenever they were loaded: years ago or this morning."""
    vouch(owner, START)
    for order_id, written_at in (("old", START - timedelta(days=60)), ("loaded", START + timedelta(hours=3))):
        order(owner, START - timedelta(days=60))
        owner.execute(
            "update raw.orders set order_id = %s, updated_at = %s, status = %s where order_id = %s",
            [order_id, written_at, f"voided {order_id}", str(START - timedelta(days=60))],
        )
    error = str(ready().exception)
    assert "raw.orders: 1 order, such as 'old', has the status 'voided old'." in error
    assert "raw.orders: 1 order, such as 'loaded', has the status 'voided loaded'." in error


def test_a_status_that_nobody_knows_refuses_the_day_and_another_spelling_does_not(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    run_before(owner)
    for number, status in enumerate((" Canceled", "CANCELLED\t", "Refunded ", "completed", "voided", "voided", "Lost")):
        at = START - timedelta(hours=number + 1)
        order(owner, at)
        owner.execute(
            "update raw.orders set order_id = %s, status = %s where order_id = %s", [f"o{number}", status, str(at)]
        )
    said = (
        "Expected is completed, cancelled or refunded: whether it was a purchase decides who is written to. Let the "
        "loader, or a view, say which of them it is."
    )
    error = str(ready().exception)
    assert [line.strip() for line in error.splitlines() if "status" in line] == [
        f"raw.orders: 2 orders written since 2017-09-23, such as 'o4', have the status 'voided'. {said}",
        f"raw.orders: 1 order written since 2017-09-23, such as 'o6', has the status 'Lost'. {said}",
    ]
    seen_before = START - timedelta(days=9)
    owner.execute("update raw.orders set updated_at = %s where status in ('voided', 'Lost')", [seen_before])
    assert ready().exit_code == 0


def voided(owner: psycopg.Connection, start: datetime, written_at: datetime) -> str:
    """What is said of the day when an order of a month before had its status written then."""
    order(owner, start - timedelta(days=30))
    owner.execute("update raw.orders set status = 'voided', updated_at = %s", [written_at])
    return str(ready(str(start.date())).exception)


def test_after_days_without_a_run_what_was_written_since_the_last_one_is_looked_through(
    owner: psycopg.Connection,
) -> None:
    day = START + timedelta(days=14)
    vouch(owner, day)
    run_before(owner)
    assert "has the status 'voided'" in voided(owner, day, START + timedelta(days=3))


def test_a_day_that_is_run_late_sees_what_was_written_until_now(owner: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    day = datetime(now.year, now.month, now.day, 12, tzinfo=UTC) - timedelta(days=4)
    vouch(owner, now)
    run_before(owner)
    assert "has the status 'voided'" in voided(owner, day, now - timedelta(hours=1))
