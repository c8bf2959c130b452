"""Migrations: once each, together, and never edited afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from warehouse.connect import Role, connect
from warehouse.errors import WinbackError
from warehouse.migrate import FOLDERS, migrate


def test_a_second_migration_changes_nothing(warehouse: str) -> None:
    assert migrate() == []


def test_an_edited_migration_is_refused(warehouse: str, tmp_path: Path) -> None:
    folder = tmp_path / "area" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_first.sql").write_text("create table public.first ()")
    assert [applied.name for applied in migrate([folder])] == ["area/0001_first.sql"]
    (folder / "0001_first.sql").write_text("create table public.other ()")
    with pytest.raises(WinbackError, match=r"area/0001_first.sql"):
        migrate([folder])


def test_a_failing_migration_leaves_nothing_of_itself_or_its_neighbours(warehouse: str, tmp_path: Path) -> None:
    folder = tmp_path / "area" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_first.sql").write_text("create table public.first ()")
    (folder / "0002_broken.sql").write_text("create tabel public.second ()")
    with pytest.raises(WinbackError, match=r"area/0002_broken.sql"):
        migrate([folder])
    with connect(Role.OWNER) as connection:
        row = connection.execute("select to_regclass('public.first')").fetchone()
        assert row == (None,)


def test_a_users_own_raw_table_is_left_as_it_is(postgres: str, warehouse: str) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute("drop table raw.orders")
        connection.execute("create table raw.orders (order_id text, contact_id text, extra text)")
        connection.execute("delete from winback.migration where name = 'warehouse/0002_raw_contract.sql'")
    migrate()
    with connect(Role.OWNER) as connection:
        columns = connection.execute(
            "select string_agg(column_name, ',' order by ordinal_position) from information_schema.columns"
            " where table_schema = 'raw' and table_name = 'orders'"
        ).fetchone()
    assert columns == ("order_id,contact_id,extra",)


def test_migrations_never_mention_what_dbt_builds() -> None:
    for path in (path for folder in FOLDERS for path in folder.glob("*.sql")):
        statements = re.sub(r"--.*", "", path.read_text())
        for schema in (
            "staging.",
            "customers.",
            "cohorts.",
            "allocations.",
            "handoff.",
            "reports.",
            "history.",
        ):
            assert schema not in statements, f"{path.name} mentions {schema}"


@pytest.mark.parametrize("table", ["message", "attempt", "coupon_grant", "decision", "run", "suppression"])
def test_nobody_can_empty_the_ledger(warehouse: str, table: str) -> None:
    with connect(Role.OWNER) as connection, pytest.raises(psycopg.errors.RestrictViolation, match="ledger"):
        connection.execute(f"truncate outbox.{table} cascade")


def test_the_key_of_address_hashes_is_the_owners_alone(warehouse: str) -> None:
    for role in (Role.DBT, Role.SENDER, Role.WEBHOOK, Role.ANALYST):
        with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from outbox.address_key")


def test_an_address_hash_is_the_hmac_of_rfc_2104(warehouse: str) -> None:
    import hashlib
    import hmac

    with connect(Role.OWNER) as connection:
        row = connection.execute("select inner_key from outbox.address_key").fetchone()
        assert row is not None
        secret = bytes(byte ^ 0x36 for byte in row[0])
        hashed = connection.execute("select outbox.address_hash('email', ' Ann@Example.com ')").fetchone()
    assert hashed == (hmac.new(secret, b"email:ann@example.com", hashlib.sha256).digest(),)
