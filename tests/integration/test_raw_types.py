"""A shop's own tables with other types: named before anything is built, read through the views asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from cli import main as command
from tests.integration import dbt_days as days
from tests.integration.ready_day import DAY, START, ready
from warehouse import dbt
from warehouse.connect import Role, connect
from warehouse.refusals import refused

AWAY = "11111111-1111-1111-1111-111111111111"
TWIN = "22222222-2222-2222-2222-222222222222"

THEIRS = {
    "contacts": {
        "contact_id": "uuid using contact_id::uuid",
        "country": "char(2)",
        "consent_email": "smallint using consent_email::int",
        "created_at": "date",
        "updated_at": "timestamp",
    },
    "orders": {
        "order_id": "bigint using order_id::bigint",
        "contact_id": "uuid using contact_id::uuid",
        "status": "raw.their_status using status::raw.their_status",
        "currency": "char(3)",
        "total": "text",
        "ordered_at": "timestamp",
        "updated_at": "text",
    },
    "coupon_codes": {"code": "uuid using code::uuid", "promotion": "varchar(40)"},
    "site_visits": {"visit_id": "bigint using 1", "visited_at": "bigint using 0"},
}
"""What the columns of a shop's own tables might be."""
ADVICE = re.compile(r"column raw\.(\w+)\.(\w+) is ([^,]+), and .+ Let a view give `(.+) as \w+`")


@pytest.fixture
def owner(warehouse: str) -> Iterator[psycopg.Connection]:
    with connect(Role.OWNER, autocommit=True) as connection:
        yield connection


def change_types(owner: psycopg.Connection) -> None:
    owner.execute("create type raw.their_status as enum ('completed', 'cancelled', 'refunded')")
    for table, columns in THEIRS.items():
        for column, changed in columns.items():
            owner.execute(f"alter table raw.{table} alter column {column} type {changed}")  # type: ignore[arg-type]


def test_every_column_of_another_type_is_named_with_its_type_and_what_a_view_says_instead(
    owner: psycopg.Connection,
) -> None:
    change_types(owner)
    owner.execute("create domain their_text as text; alter table raw.contacts alter column region type their_text")
    error = str(ready().exception)
    assert "column raw.orders.contact_id is uuid, and text is read: when somebody last bought." in error
    assert (
        "column raw.orders.ordered_at is timestamp without time zone, and timestamp with time zone is read: when "
        "somebody last bought. Let a view give `ordered_at at time zone 'UTC' as ordered_at` (with the zone its times "
        "are in)" in error
    )
    found = {(table, column): (type_name, cast) for table, column, type_name, cast in ADVICE.findall(error)}
    assert found.pop(("contacts", "created_at")) == ("date", "created_at::timestamp at time zone 'UTC'")
    assert found.pop(("contacts", "consent_email")) == ("smallint", "consent_email <> 0")
    assert found.pop(("orders", "status")) == ("raw.their_status", "status::text")
    assert found.pop(("orders", "total")) == ("text", "total::numeric")
    assert found.pop(("orders", "updated_at")) == ("text", "updated_at::timestamptz")
    assert found.pop(("site_visits", "visited_at")) == ("bigint", "to_timestamp(visited_at)")
    assert set(found) == {
        ("contacts", "contact_id"),
        ("contacts", "updated_at"),
        ("orders", "contact_id"),
        ("orders", "order_id"),
        ("orders", "ordered_at"),
        ("coupon_codes", "code"),
        ("site_visits", "visit_id"),
    }, "text of a fixed length, varchar and domains over text are read as they are"
    assert "Nothing was decided and nothing was sent." in error


@pytest.mark.slow
def test_the_views_that_ready_asks_for_carry_a_whole_day_from_tables_of_other_types(owner: psycopg.Connection) -> None:
    change_types(owner)
    advice = ADVICE.findall(str(ready().exception))
    owner.execute("create schema their")
    for table in THEIRS:
        casts = {column: cast for of, column, _, cast in advice if of == table}
        listed = [
            f"{casts.get(column, column)} as {column}"
            for (column,) in owner.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                [f"raw.{table}"],
            )
        ]
        owner.execute(f"alter table raw.{table} set schema their")  # type: ignore[arg-type]
        owner.execute(f"create view raw.{table} as select {', '.join(listed)} from their.{table}")  # type: ignore[arg-type]  # noqa: S608
    for contact_id, phone in ((AWAY, None), (TWIN, "+12025550101")):
        days.insert(
            owner, "their.contacts", contact_id=contact_id, email=" Away@Example.com", phone=phone, country="US",
            timezone=days.NEW_YORK, consent_email=1, created_at="2016-01-01", updated_at="2016-01-01 00:00",
        )  # fmt: skip
    days.insert(
        owner, "their.orders", order_id=7, contact_id=AWAY, ordered_at="2017-08-02 16:00", status="completed",
        total="19.50", currency="USD", updated_at="2017-08-02T16:00:00Z",
    )  # fmt: skip
    days.insert(owner, "their.coupon_codes", promotion="winback_discount10", code=TWIN, loaded_at=days.at("2016-01-01"))
    for table in ("orders", "contacts", "engagements"):
        days.insert(owner, "raw.loads", table_name=table, complete_through=START)

    result = ready()
    assert result.exit_code == 0, result.exception
    run_id = days.begin(owner, DAY)
    dbt.run(dbt.BUILD, progress=lambda line: None)
    assert days.decisions(run_id)[AWAY, "day60"] == "send"
    days.enqueue(owner, run_id, accepted=False)
    assert days.rows("select contact_id, promotion, code from outbox.coupon_grant") == [
        (AWAY, "winback_discount10", TWIN)
    ]
    days.insert(
        owner, "their.orders", order_id=8, contact_id=TWIN, ordered_at="2017-10-01 12:00", status="completed",
        total="5", currency="USD", updated_at="2017-10-01T12:00:00Z",
    )  # fmt: skip
    assert days.rows("select reason from handoff.send_stops") == [("purchased_since",)], "under either contact"
    assert sorted(days.rows("select contact_id from handoff.in_flight")) == [(AWAY,), (TWIN,)]
    days.accept(owner, run_id)
    assert sorted(days.rows("select contact_id from handoff.marketing_touches")) == [(AWAY,), (TWIN,)]
    assert days.rows("select orders, people_came_back from reports.rpt_returns") == [(0, 0)]
    for (report,) in days.rows("select table_name from information_schema.tables where table_schema = 'reports'"):
        owner.execute(f"select * from reports.{report}")  # type: ignore[arg-type]  # noqa: S608


def test_a_load_that_is_complete_for_ever_holds_nothing_up_and_one_without_a_time_says_so(
    owner: psycopg.Connection,
) -> None:
    owner.execute("insert into raw.contacts (contact_id) values ('somebody')")
    owner.execute("alter table raw.loads alter column complete_through drop not null")
    for table, through in (("orders", None), ("contacts", "infinity"), ("engagements", "-infinity")):
        days.insert(owner, "raw.loads", table_name=table, complete_through=through)
    held = ready()
    assert held.exit_code == 75, held.exception
    assert "raw.loads has no complete_through for orders: let its loader write up to when it is complete." in (
        held.stderr
    )
    assert "engagements is complete up to -infinity, needed is 2017-10-01 04:00 UTC" in held.stderr
    assert "contacts" not in held.stderr
    owner.execute("update raw.loads set complete_through = 'infinity'")
    assert ready().exit_code == 0


@pytest.mark.parametrize(
    ("statement", "code", "told"),
    [
        ("select 'ann@example.com'::timestamptz", 1, "(InvalidDatetimeFormat, SQLSTATE 22007)"),
        ("select 1 from raw.nowhere", 1, '(UndefinedTable, SQLSTATE 42P01): relation "raw.nowhere" does not exist.'),
        ("insert into raw.orders (order_id, contact_id) values ('o', 'ann')", 1, "It was about raw.orders.ordered_at."),
        ("set local statement_timeout = '1ms'; select pg_sleep(1)", 75, "Try again in a moment"),
    ],
)
def test_what_the_warehouse_refuses_is_a_sentence_without_anybodys_data(
    owner: psycopg.Connection,
    *,
    statement: str,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> None:
        with connect(Role.OWNER) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "register", lambda: broken)
    with pytest.raises(SystemExit) as ended:
        command.main()
    said = capsys.readouterr().err
    assert ended.value.code == code
    assert said.startswith("winback: The warehouse refused a statement (")
    assert told in said
    assert "rolled back" in said
    assert "ann" not in said
    assert "Traceback" not in said


def test_a_lost_connection_may_do_later() -> None:
    error = refused(psycopg.OperationalError("server closed the connection unexpectedly"))
    assert error.exit_code == 75
    assert "server closed the connection unexpectedly" in str(error)
