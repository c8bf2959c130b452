"""Rows of a shop's own tables that a run cannot take as they are: `winback ready` names them with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.integration.ready_day import START, ready, run_before, unkeyed, vouch, write_order
from warehouse.connect import Role, connect


@pytest.fixture
def owner(warehouse: str) -> Iterator[psycopg.Connection]:
    with connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("insert into raw.contacts (contact_id) values ('somebody')")
        yield connection


def test_a_code_that_is_there_twice_is_named_with_its_table_and_the_remedy(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    unkeyed(owner, "coupon_codes")
    insert = "insert into raw.coupon_codes (promotion, code) values (%s, %s)"
    owner.cursor().executemany(insert, [("p10", "B2"), ("p10", "A1"), ("p20", "A1"), ("p20", "B2"), ("p10", "C3")])
    error = str(ready().exception)
    assert "Nothing was decided and nothing was sent." in error
    assert (
        "raw.coupon_codes: the code 'A1' is there 2 times, and 1 other is repeated, too. One row is expected" in error
    )
    assert "remove the others, and keep it so with `create unique index on raw.coupon_codes (code)`." in error
    owner.execute("delete from raw.coupon_codes where promotion = 'p20'")
    assert ready().exit_code == 0


def test_codes_of_a_view_that_repeats_them_are_mended_behind_it(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    owner.execute("alter table raw.coupon_codes rename to their_codes; grant select on raw.their_codes to winback_dbt")
    owner.execute(
        "create view raw.coupon_codes as"
        " select promotion, code, expires_at, loaded_at from raw.their_codes cross join generate_series(1, 3)"
    )
    owner.execute("grant select on raw.coupon_codes to winback_dbt")
    owner.execute("insert into raw.their_codes (promotion, code) values ('p10', 'A1')")
    error = str(ready().exception)
    assert "raw.coupon_codes: the code 'A1' is there 3 times." in error
    assert "let what stands behind raw.coupon_codes give one, the newest (select distinct on (code) ...)." in error


def test_before_the_first_run_every_order_is_compared_and_after_it_an_old_mistake_costs_no_scan(
    owner: psycopg.Connection,
) -> None:
    vouch(owner, START)
    unkeyed(owner, "orders")
    for at, contact_id in ((90, "c"), (60, "other")):  # two rows of long ago with one key
        write_order(owner, "old", START - timedelta(days=at), START - timedelta(days=at), contact_id)
    assert "raw.orders: the order_id 'old' is there 2 times. One row" in str(ready().exception)
    run_before(owner)
    assert ready().exit_code == 0


def test_an_order_written_anew_beside_its_old_row_is_found(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    unkeyed(owner, "orders")
    run_before(owner)
    write_order(owner, "o1", START - timedelta(days=40), START - timedelta(days=40))
    assert ready().exit_code == 0
    write_order(owner, "o1", START - timedelta(days=40), START - timedelta(days=1))
    error = str(ready().exception)
    assert "raw.orders: the order_id 'o1' is there 2 times. One row is expected for each order_id" in error


def test_an_order_that_came_under_two_contacts_is_found(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    unkeyed(owner, "orders")
    run_before(owner)
    write_order(owner, "o1", START - timedelta(days=2), START - timedelta(days=2), "ann")
    assert ready().exit_code == 0
    write_order(owner, "o1", START - timedelta(days=2), START - timedelta(days=1), "zoe")
    assert "raw.orders: the order_id 'o1' is there 2 times. One row" in str(ready().exception)


def test_an_order_without_its_total_or_its_time_is_named_and_a_guests_order_is_not(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    owner.execute("alter table raw.orders rename to their_orders; grant select on raw.their_orders to winback_dbt")
    for column in ("contact_id", "total", "currency", "updated_at"):
        owner.execute(f"alter table raw.their_orders alter column {column} drop not null")  # type: ignore[arg-type]
    owner.execute("create view raw.orders as select * from raw.their_orders")
    for number in range(4):
        write_order(owner, f"o{number}", START - timedelta(days=40), START - timedelta(days=40))
    owner.execute("update raw.orders set contact_id = null where order_id = 'o3'")
    assert ready().exit_code == 0
    owner.execute("update raw.orders set total = null where order_id > 'o0'")
    owner.execute("update raw.orders set updated_at = null where order_id = 'o2'")
    error = str(ready().exception)
    assert "raw.orders: total is null in 3 rows, such as order_id 'o1'. Without it an order is no purchase" in error
    assert "raw.orders: updated_at is null in 1 row, such as order_id 'o2'." in error
    assert "fill it, or leave such rows out of what stands behind raw.orders." in error
    assert "Nothing was decided and nothing was sent." in error
    run_before(owner)
    later = str(ready().exception)
    assert "total is null in 1 row, such as order_id 'o2'" in later, "what has not changed since is not read again"


def test_after_a_run_only_codes_that_were_loaded_since_are_compared(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    unkeyed(owner, "coupon_codes")
    insert = "insert into raw.coupon_codes (promotion, code, loaded_at) values ('p10', %s, %s)"
    for days in (60, 50):  # two rows of long ago with one key
        owner.execute(insert, ["OLD", START - timedelta(days=days)])
    owner.execute(insert, ["NEW", START - timedelta(days=60)])
    assert "the code 'OLD' is there 2 times" in str(ready().exception)
    run_before(owner)
    assert ready().exit_code == 0
    owner.execute(insert, ["NEW", START - timedelta(hours=2)])
    assert "the code 'NEW' is there 2 times. One row" in str(ready().exception)


def test_a_repeated_browser_is_named_by_its_contact_and_not_by_its_address(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    unkeyed(owner, "web_push_subscriptions")
    for _ in range(2):
        owner.execute("insert into raw.web_push_subscriptions values ('https://push/secret', 'c1', 'k', 'a', now())")
    error = str(ready().exception)
    assert "raw.web_push_subscriptions: an endpoint of contact_id 'c1' is there 2 times." in error
    assert "secret" not in error
