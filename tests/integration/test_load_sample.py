"""The sample data in the raw contract: what it holds, what a second load adds (nothing), what a killed one leaves."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from local import complete_journey, loading
from local.codes import sample_codes
from local.complete_journey import Sample
from local.promises import COHORTS
from tests.databases import created
from tests.integration import dbt_definition
from tests.integration.dbt_days import begin, build
from warehouse.errors import WinbackError

COUNTS = {
    "contacts": 2_469,
    "orders": 155_848,
    "order_items": 1_469_307,
    "products": 92_331,
    "coupon_codes": 510,
}
AWAY = (30, 60, 90)
EVERYTHING = "select md5(string_agg(md5(t::text), '' order by md5(t::text))) from raw.{} t"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return complete_journey.read()


@pytest.fixture(scope="module")
def loaded(
    postgres: str, template_database: str, sample: Sample, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of one database with the sample in it, for the tests that only read; its keys file beside it."""
    with (
        created(postgres, "sample", template=template_database) as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("WINBACK_DATABASE_URL", url)
        keys = tmp_path_factory.mktemp("sandbox") / "push_keys.json"
        loading.load(sample, keys)
        patch.setenv("PUSH_KEYS", str(keys))
        yield url


@pytest.fixture
def database(loaded: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(loaded, autocommit=True) as connection:
        yield connection


def test_every_basket_is_an_order_and_every_line_an_item(database: psycopg.Connection) -> None:
    for table, count in COUNTS.items():
        assert _one(database, f"select count(*) from raw.{table}") == count, table  # noqa: S608
    assert _one(database, "select count(*) from raw.orders where total = 0") > 0, "empty baskets stay orders"
    assert _one(database, "select count(*) from raw.orders where status = 'cancelled'") == 0
    total, lines = database.execute(
        "select sum(total), (select sum(quantity * unit_price) from raw.order_items) from raw.orders"
    ).fetchone() or (0, 0)
    assert abs(total - lines) < 10


def test_the_year_is_2017_seen_from_new_york(database: psycopg.Connection) -> None:
    days = "select {}((ordered_at at time zone 'America/New_York')::date) from raw.orders"
    assert _one(database, days.format("min")) == date(2017, 1, 1)
    assert _one(database, days.format("max")) == date(2017, 12, 31)


@pytest.mark.parametrize("as_of", COHORTS)
def test_the_cohorts_straight_from_raw_are_the_known_ones(database: psycopg.Connection, as_of: date) -> None:
    found = database.execute(
        """
        with last as (
            select max((ordered_at at time zone 'America/New_York')::date) as last_on
            from raw.orders
            where status <> 'cancelled' and ordered_at < %(as_of)s::timestamp at time zone 'America/New_York'
            group by contact_id
        )
        select count(*) filter (where last_on = %(as_of)s::date - 30),
            count(*) filter (where last_on = %(as_of)s::date - 60),
            count(*) filter (where last_on = %(as_of)s::date - 90)
        from last
        """,
        {"as_of": as_of},
    ).fetchone()
    assert found == COHORTS[as_of]


@pytest.mark.slow
def test_the_models_find_the_known_cohorts_in_the_loaded_year(database: psycopg.Connection) -> None:
    begin(database, *map(str, COHORTS), definitions=[dbt_definition.winback(timezone="America/New_York")])
    build("--select", *(f"+dormant_at_{n}" for n in AWAY))
    each = sql.SQL(" union all ").join(
        sql.SQL("select as_of, days_away from {}").format(sql.Identifier("cohorts", f"dormant_at_{n}")) for n in AWAY
    )
    counted = Counter(database.execute(each).fetchall())
    assert {as_of: tuple(counted[as_of, n] for n in AWAY) for as_of in COHORTS} == COHORTS
    assert counted.total() == sum(map(sum, COHORTS.values())), "no other day is there"


def test_every_table_is_vouched_for_up_to_the_end_of_the_year(database: psycopg.Connection, sample: Sample) -> None:
    vouched = dict(database.execute("select table_name, complete_through from raw.loads").fetchall())
    assert vouched == {table.name: datetime(2018, 1, 1, 5, tzinfo=UTC) for table in sample.tables}


def test_a_contact_is_older_than_their_first_order_and_known_before_the_year(database: psycopg.Connection) -> None:
    assert not _one(
        database,
        "select count(*) from raw.contacts c where c.updated_at >= '2017-01-01' or c.created_at >="
        " (select min(ordered_at) from raw.orders o where o.contact_id = c.contact_id)",
    )
    assert not _one(
        database, "select count(*) from raw.orders where contact_id not in (select contact_id from raw.contacts)"
    )


def test_addresses_and_pages_lie_in_reserved_ranges(database: psycopg.Connection) -> None:
    for wrong in (
        "select count(*) from raw.contacts where email ~ '@[^@ ]+$' and lower(btrim(email)) !~ '@example\\.com$'",
        "select count(*) from raw.contacts where phone is not null and phone !~ '555-?01\\d\\d$'",
        "select count(*) from raw.web_push_subscriptions where endpoint !~ '^https://push\\.example\\.com/'",
        "select count(*) from raw.products where image_url !~ '^https://assets\\.shop\\.example\\.com/products/'",
        "select count(*) from raw.products where product_url !~ '^https://shop\\.example\\.com/products/'",
    ):
        assert _one(database, wrong) == 0, wrong


def test_some_products_have_no_assets_and_nobody_is_shown_what_one_would_not_recommend(
    database: psycopg.Connection,
) -> None:
    share = _one(database, "select avg((image_url is null)::int) from raw.products where price is not null")
    assert 0.05 < share < 0.45
    shown = "select count(*) from raw.products where image_url is not null and "
    unfit = "cigar|tobacco|fuel|wine|beer|infant|baby|diaper|pharmacy|analgesic|laxative|vitamin|tissue|coupon"
    assert not _one(database, f"{shown} category ~* '{unfit}'")
    assert not _one(database, f"{shown} name ~ '[:/]|[A-Z]{{4}}'"), "names are words, of what is sold"
    assert _one(database, "select count(*) from raw.products where not in_stock") > 0


def test_every_table_says_that_it_is_sample_data(database: psycopg.Connection, sample: Sample) -> None:
    for table in sample.tables:
        assert "Sample data" in _one(database, f"select obj_description('raw.{table.name}'::regclass)")


def test_the_browsers_keys_are_kept_for_their_owner_alone(loaded: str, database: psycopg.Connection) -> None:
    path = Path(os.environ["PUSH_KEYS"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys = json.loads(path.read_text())
    endpoints = {endpoint for (endpoint,) in database.execute("select endpoint from raw.web_push_subscriptions")}
    assert set(keys) == endpoints
    assert all(set(pair) == {"private_key", "auth"} for pair in keys.values())


def test_a_second_load_changes_nothing_and_keeps_what_the_shop_wrote(
    database: psycopg.Connection, sample: Sample, tmp_path: Path
) -> None:
    def contents() -> list[object]:
        return [_one(database, EVERYTHING.format(table.name)) for table in sample.tables]

    database.execute(
        "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
        " values ('sim-1', '1', '2018-01-01', 'completed', 1, 'USD', '2018-01-01')"
    )
    before = contents()
    again = loading.load(complete_journey.read(), tmp_path / "push_keys.json")
    assert set(again.values()) == {0}
    assert contents() == before
    database.execute("delete from raw.orders where order_id = 'sim-1'")


def test_a_larger_pool_adds_codes_and_takes_none_away(database: psycopg.Connection, tmp_path: Path) -> None:
    larger = complete_journey.read({"winback_discount10": 12})
    added = loading.load(larger, tmp_path / "push_keys.json")
    assert {table: count for table, count in added.items() if count} == {"coupon_codes": 2}
    more = list(sample_codes("winback_discount10", 12))[10:]
    assert database.execute("delete from raw.coupon_codes where code = any(%s)", [more]).rowcount == 2


def test_a_warehouse_with_somebody_elses_orders_is_refused_untouched(
    warehouse: str, sample: Sample, tmp_path: Path
) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
            " values ('A-1', 'c-1', '2026-01-01', 'completed', 1, 'EUR', '2026-01-01')"
        )
    with pytest.raises(WinbackError, match=r"raw\.orders holds 1 rows that are not of the sample data.*'A-1'"):
        loading.load(sample, tmp_path / "push_keys.json")
    with psycopg.connect(warehouse) as connection:
        assert _one(connection, "select count(*) from raw.orders") == 1
        assert _one(connection, "select count(*) from raw.contacts") == 0
        assert _one(connection, "select count(*) from raw.loads") == 0


@pytest.mark.slow
@pytest.mark.parametrize("after", ["orders", "coupon_codes"])
def test_a_killed_load_is_not_vouched_for_and_the_next_one_is_complete(
    warehouse: str, sample: Sample, tmp_path: Path, after: str
) -> None:
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "winback"), "load", "complete-journey"],
        env={**os.environ, "WINBACK_LOCAL": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[:1] == [after]:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with psycopg.connect(warehouse, autocommit=True) as connection:
        _wait_for_the_other_session_to_end(connection)
        assert _one(connection, "select count(*) from raw.loads") == 0
        assert _one(connection, "select count(*) from raw.orders") == 0
        added = loading.load(sample, tmp_path / "push_keys.json")
        assert added["order_items"] == COUNTS["order_items"]
        assert _one(connection, "select count(*) from raw.loads") == len(sample.tables)


def _wait_for_the_other_session_to_end(connection: psycopg.Connection) -> None:
    for _ in range(300):
        if not _one(
            connection,
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and backend_type = 'client backend'",
        ):
            return
        time.sleep(0.1)
    raise AssertionError("the killed load's session is still there")


def _one(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return row[0]
