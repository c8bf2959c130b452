"""docs/BRING_YOUR_DATA.md, the tables that `db migrate` makes and the columns that `ready` asks for tell the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from cli.raw_contract import TABLES, Table
from warehouse.connect import Role, connect

PAGE = Path(__file__).resolve().parents[2] / "docs" / "BRING_YOUR_DATA.md"
ROW = re.compile(r"^\| `raw\.(\w+)`( \?)? \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
COLUMN = re.compile(r"`(\w+)`( \?)?([^`]*)")


@dataclass(frozen=True)
class Told:
    """What the page says of a table."""

    may_have_no_rows: bool
    nullable: dict[str, bool]
    key: list[str]


def page() -> dict[str, Told]:
    told = {}
    for name, mark, columns in ROW.findall(PAGE.read_text()):
        found = COLUMN.findall(columns)
        told[name] = Told(
            bool(mark),
            {column: bool(question) for column, question, _ in found},
            [column for column, _, rest in found if ", key" in rest],
        )
    return told


def test_the_page_has_every_table_that_ready_asks_for() -> None:
    assert set(page()) == {table.name for table in TABLES}


def test_the_tables_that_may_have_no_rows_are_those_that_ready_does_without() -> None:
    assert {name for name, told in page().items() if not told.may_have_no_rows} == {"contacts", "orders"}
    assert not [table.name for table in TABLES if table.without and not page()[table.name].may_have_no_rows]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_tables_columns_nulls_and_key_are_those_of_the_migrations(warehouse: str, table: Table) -> None:
    with connect(Role.OWNER) as connection:
        made = _made(connection, table.name)
        key = connection.execute(
            "select a.attname from pg_index i"
            " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)"
            " where i.indisprimary and i.indrelid = to_regclass('raw.' || %s)",
            [table.name],
        ).fetchall()
    told = page()[table.name]
    assert told.nullable == made
    assert set(table.columns) == set(made)
    assert told.key == [name for (name,) in key]
    assert table.key in {"", *told.key}


def _made(connection: psycopg.Connection, table: str) -> dict[str, bool]:
    return dict(
        connection.execute(
            "select column_name::text, is_nullable = 'YES' from information_schema.columns"
            " where table_schema = 'raw' and table_name = %s",
            [table],
        ).fetchall()
    )
