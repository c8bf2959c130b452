"""Migrations: once each, together, and never edited afterwards."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import psycopg
import pytest

from tests.databases import created
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


def test_a_mended_migration_that_names_the_text_it_replaces_is_taken_and_not_run_again(
    warehouse: str, tmp_path: Path
) -> None:
    file = tmp_path / "area" / "migrations" / "0001_first.sql"
    file.parent.mkdir(parents=True)
    file.write_text("create table public.first ()")
    migrate([file.parent])
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_text(f"-- Supersedes {before}: made better.\ncreate table public.first ()")
    assert migrate([file.parent]) == []
    file.write_text("create table public.first ()")
    with pytest.raises(WinbackError, match=r"area/0001_first.sql"):
        migrate([file.parent])


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


def test_views_of_the_contracts_names_are_as_good_as_tables(postgres: str) -> None:
    with created(postgres, "views") as url, psycopg.connect(url, autocommit=True) as owner:
        owner.execute(
            "create schema raw; create view raw.orders as select 'o' as order_id, 'c' as contact_id,"
            " now() as ordered_at, now() as updated_at, null::text as coupon_code;"
            " create view raw.contacts as select 'c' as contact_id, now() as created_at, now() as updated_at"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WINBACK_DATABASE_URL", url)
            migrate()
        said = owner.execute("select obj_description('raw.orders'::regclass)").fetchone()
        assert said is not None
        assert said[0].startswith("One row per order")


def test_contacts_are_found_by_their_trimmed_phone_over_an_index(warehouse: str) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute("set local enable_seqscan = off")
        plan = connection.execute("explain select from raw.contacts where btrim(phone) = '+12125550100'").fetchall()
    assert "winback_contacts_phone_trimmed" in str(plan)


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
    import hmac

    with connect(Role.OWNER) as connection:
        row = connection.execute("select inner_key from outbox.address_key").fetchone()
        assert row is not None
        secret = bytes(byte ^ 0x36 for byte in row[0])
        hashed = connection.execute("select outbox.address_hash('email', ' Ann@Example.com ')").fetchone()
    assert hashed == (hmac.new(secret, b"email:ann@example.com", hashlib.sha256).digest(),)


def test_every_table_of_the_migrations_says_what_it_is_and_every_coded_column_what_it_may_hold(warehouse: str) -> None:
    schemas = "c.relnamespace in ('raw'::regnamespace, 'outbox'::regnamespace, 'events'::regnamespace)"
    codes = "^(kind|state|status|outcome|verdict|decision|reason|source|episode_on|lease_until|consent.*)$"
    with connect(Role.OWNER) as connection:
        tables = connection.execute(
            f"select c.oid::regclass::text from pg_class as c where c.relkind in ('r', 'p', 'v', 'm') and {schemas}"  # noqa: S608
            " and obj_description(c.oid, 'pg_class') is null order by 1"
        ).fetchall()
        columns = connection.execute(
            "select a.attrelid::regclass || '.' || a.attname from pg_attribute as a inner join pg_class as c"  # noqa: S608
            f" on c.oid = a.attrelid and c.relkind = 'r' where a.attnum > 0 and a.attname ~ %s and {schemas}"
            " and not a.attisdropped and col_description(c.oid, a.attnum) is null order by 1",
            [codes],
        ).fetchall()
    assert tables == []
    assert columns == []


def test_a_loaders_own_comment_stays(warehouse: str) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute("comment on table raw.orders is 'The shop''s own words.'")
        connection.execute("delete from winback.migration where name = 'warehouse/0004_comments.sql'")
    migrate()
    with connect(Role.OWNER) as connection:
        said = connection.execute("select obj_description('raw.orders'::regclass)").fetchone()
    assert said == ("The shop's own words.",)
