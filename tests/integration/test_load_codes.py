"""Coupon codes into a promotion's pool, and what the simulated shop writes: all of it or nothing, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from local import shop
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

WINBACK = str(Path(sys.executable).parent / "winback")
NOON = datetime(2017, 10, 4, 16, tzinfo=UTC)


@pytest.fixture
def contact(warehouse: str) -> str:
    with connect(Role.OWNER) as connection:
        connection.execute("insert into raw.contacts (contact_id, email) values ('1', 'dana.1@example.com')")
    return "1"


def _load(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([WINBACK, "load", "codes", *arguments], capture_output=True, text=True, check=False)


def _pool(promotion: str) -> list[tuple[object, ...]]:
    with connect(Role.OWNER) as connection:
        return connection.execute(
            "select code, expires_at, loaded_at from raw.coupon_codes where promotion = %s order by code", [promotion]
        ).fetchall()


def test_generated_codes_join_the_pool_at_the_time_they_are_given(warehouse: str) -> None:
    done = _load("winback_discount10", "25", "--loaded-at", "2017-10-04T16:00:00", "--expires-at", "2018-01-01")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"added": 25, "promotion": "winback_discount10"}
    pool = _pool("winback_discount10")
    assert len(pool) == 25
    assert {(expires, at) for _, expires, at in pool} == {(datetime(2018, 1, 1, tzinfo=UTC), NOON)}


def test_a_file_of_codes_is_loaded_whole(warehouse: str, tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("code\nSPRING-1\nSPRING-2\n")
    assert _load("winback_discount20", "--file", str(file)).returncode == 0
    assert [code for code, _, _ in _pool("winback_discount20")] == ["SPRING-1", "SPRING-2"]


def test_a_promotion_that_no_campaign_names_gets_no_codes(warehouse: str) -> None:
    refused = _load("winback_discount99", "5")
    assert refused.returncode == 1
    assert "no promotion 'winback_discount99'" in refused.stderr
    assert "winback_discount10" in refused.stderr
    assert _pool("winback_discount99") == []


def test_an_unknown_promotion_and_a_bad_file_are_told_together(warehouse: str, tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("code\nSPRING-1\nno code!\n")
    refused = _load("winback_discount99", "--file", str(file))
    assert refused.returncode == 1
    assert "no promotion 'winback_discount99'" in refused.stderr
    assert "codes.csv, line 3: 'no code!' is not a code" in refused.stderr


def test_one_code_is_told_in_the_singular(warehouse: str) -> None:
    said = _load("winback_discount10", "1").stdout
    assert "1 code added to the pool of winback_discount10. It counts from " in said
    assert " on and never ends (--expires-at);" in said


def test_a_code_that_is_in_a_pool_already_stops_the_whole_file(warehouse: str, tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("SPRING-1\n")
    assert _load("winback_discount10", "--file", str(file)).returncode == 0
    file.write_text("SPRING-0\nSPRING-1\n")
    refused = _load("winback_discount20", "--file", str(file))
    assert refused.returncode == 1
    assert "'SPRING-1' is in the pool of winback_discount10 already" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert _pool("winback_discount20") == []


@pytest.mark.parametrize("arguments", [[], ["5", "--file", "codes.csv"], ["0"], ["many"]])
def test_a_call_without_one_source_of_codes_is_a_wrong_call(warehouse: str, arguments: list[str]) -> None:
    assert _load("winback_discount10", *arguments).returncode == 2


def test_a_pool_given_to_the_sample_must_be_a_promotion_and_a_number(warehouse: str) -> None:
    wrong = subprocess.run(
        [WINBACK, "load", "complete-journey", "--codes", "winback_discount10"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert wrong.returncode == 2
    assert "PROMOTION=COUNT" in wrong.stderr


def test_a_simulated_purchase_is_one_order_however_often_it_is_told(contact: str) -> None:
    with connect(Role.OWNER) as connection:
        first = shop.purchase(connection, contact, NOON)
        again = shop.purchase(connection, contact, NOON)
        orders = connection.execute(
            "select order_id, contact_id, ordered_at, updated_at, status, total from raw.orders"
        ).fetchall()
    assert first == again
    assert orders == [(first.order_id, contact, NOON, NOON, "completed", first.total)]
    assert first.order_id.startswith("sim-")


def test_a_simulated_purchase_takes_what_the_contact_bought_before(contact: str) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute(
            "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
            " values ('o', '1', '2017-09-01', 'completed', 5, 'USD', '2017-09-01')"
        )
        connection.execute("insert into raw.order_items values ('o', 1, 'milk', 1, 3), ('o', 2, 'bread', 1, 2)")
        order = shop.purchase(connection, contact, NOON)
        lines = connection.execute(
            "select line_number, product_id, quantity * unit_price from raw.order_items where order_id = %s order by 1",
            [order.order_id],
        ).fetchall()
    assert [(number, product) for number, product, _ in lines] == [(1, "bread"), (2, "milk")]
    assert sum(amount for _, _, amount in lines) == pytest.approx(order.total, abs=Decimal("0.01"))


def test_a_redeemed_code_is_on_the_order_and_takes_its_share_off(contact: str) -> None:
    with connect(Role.OWNER) as connection:
        (code,) = shop.refill(connection, "winback_discount10", 1, NOON)
        order = shop.redeem(connection, contact, code, NOON, percent=10)
        on_order = connection.execute("select coupon_code, total from raw.orders").fetchone()
        undiscounted = shop.purchase(connection, contact, NOON)
    assert on_order == (code, order.total)
    assert undiscounted.order_id != order.order_id
    with connect(Role.OWNER) as connection, pytest.raises(WinbackError, match="'NOT-A-CODE'"):
        shop.redeem(connection, contact, "NOT-A-CODE", NOON, percent=10)


def test_nobody_unknown_buys_and_no_real_order_is_cancelled(contact: str) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute(
            "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
            " values ('31198570044', '1', '2017-09-01', 'completed', 5, 'USD', '2017-09-01')"
        )
        simulated = shop.purchase(connection, contact, NOON)
        shop.cancel(connection, simulated.order_id, NOON)
        with pytest.raises(WinbackError, match="'31198570044' was not made by the simulated shop"):
            shop.cancel(connection, "31198570044", NOON)
        with pytest.raises(WinbackError, match="no contact 'nobody'"):
            shop.purchase(connection, "nobody", NOON)
        states = dict(connection.execute("select order_id, status from raw.orders").fetchall())
    assert states == {"31198570044": "completed", simulated.order_id: "cancelled"}


def test_only_the_loader_writes_raw(warehouse: str) -> None:
    for role in (Role.DBT, Role.SENDER, Role.ANALYST, Role.WEBHOOK):
        with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("insert into raw.coupon_codes (promotion, code) values ('winback_discount10', 'X-1')")
