"""`winback ready`: a day waits for its files, its tables and its loads, and says which."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cli import raw_contract
from cli import ready as verb
from cli.main import register
from events.intake import fold_provider_events
from tests.integration.ready_day import DAY, START, order, ready, run_before, vouch, write_order
from warehouse import connections, settings
from warehouse.connect import Role, connect
from warehouse.errors import Misconfigured, WinbackError


@pytest.fixture
def owner(warehouse: str) -> Iterator[psycopg.Connection]:
    with connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("insert into raw.contacts (contact_id) values ('00000000-0000-0000-0000-000000000000')")
        yield connection


def said(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return document


def test_a_day_whose_loads_are_complete_can_be_run(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    result = ready()
    assert result.exit_code == 0, result.output
    assert said(result)["enqueued_before"] is False
    assert "raw.products is empty: nothing can be recommended." in result.stdout
    assert "raw.products" in said(result)["empty_tables"]


def test_a_load_that_stopped_at_noon_yesterday_holds_the_day(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    vouch(owner, START - timedelta(hours=12), "orders")
    result = ready()
    assert result.exit_code == 75
    assert "2017-10-01 cannot be run yet. Nothing was decided and nothing was sent." in result.stderr
    assert "orders is complete up to 2017-09-30 16:00 UTC, needed is 2017-10-01 04:00 UTC" in result.stderr
    assert "contacts" not in result.stderr


def test_a_table_that_no_loader_vouches_for_holds_the_day(owner: psycopg.Connection) -> None:
    vouch(owner, START, "orders")
    result = ready()
    assert result.exit_code == 75
    assert "raw.loads says nothing about contacts" in result.stderr
    assert "engagements" not in result.stderr, "an empty optional table needs no loader"


def test_it_waits_for_a_load_that_is_on_its_way(owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    vouch(owner, START - timedelta(hours=1))
    monkeypatch.setattr(verb, "POLL_SECONDS", 0.01)
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            vouch(owner, START)

    monkeypatch.setattr(verb.time, "sleep", sleep)
    result = ready(DAY, "--wait", "60")
    assert result.exit_code == 0
    assert result.stdout.count("Waiting (") == 2


def test_without_a_table_of_loads_the_newest_orders_age_counts(owner: psycopg.Connection) -> None:
    assert "raw.orders is empty" in ready().stderr
    order(owner, START - timedelta(hours=25))
    old = ready()
    assert old.exit_code == 75
    assert "the newest row of raw.orders is of 2017-09-30 03:00 UTC, more than 24 hours before" in old.stderr
    order(owner, START - timedelta(hours=2))
    assert ready().exit_code == 0


def test_a_row_of_the_future_does_not_pass_for_a_fresh_load(owner: psycopg.Connection) -> None:
    order(owner, datetime(2100, 1, 1, tzinfo=UTC))
    order(owner, START - timedelta(days=40))
    assert "the newest row of raw.orders is of 2017-08-22 04:00 UTC, more than 24 hours" in ready().stderr
    owner.execute("delete from raw.orders where ordered_at < now(); update raw.orders set ordered_at = '2017-01-01'")
    assert "raw.orders has no row that was written before now" in ready().stderr


def test_a_day_in_the_future_is_refused_even_when_the_loads_say_otherwise(owner: psycopg.Connection) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date()
    vouch(owner, datetime(2100, 1, 1, tzinfo=UTC))
    error = ready(str(tomorrow)).exception
    assert isinstance(error, WinbackError)
    assert f"{tomorrow} lies in the future" in str(error)
    owner.execute("delete from raw.contacts")
    assert f"{tomorrow} lies in the future" in str(ready(str(tomorrow)).exception), "and that before anything else"


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "1969-12-31", "2017-02-30", "tomorrow"])
def test_what_no_shop_has_is_no_day(day: str) -> None:
    result = ready(day)
    assert result.exit_code == 2
    assert "is no day" in result.stderr


def test_every_missing_table_and_column_is_named_with_what_it_is_for(owner: psycopg.Connection) -> None:
    owner.execute("drop table raw.products; alter table raw.contacts drop column consent_sms")
    owner.execute("revoke select on raw.site_visits from winback_dbt")
    error = str(ready().exception)
    assert "table raw.products is missing: what is recommended" in error
    assert "column raw.contacts.consent_sms is missing: who may be written to" in error
    assert "table raw.site_visits may not be read by winback_dbt" in error
    assert "docs/BRING_YOUR_DATA.md" in error


def test_orders_of_unknown_contacts_are_counted_with_an_example_and_hold_nothing_up(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    owner.execute("insert into raw.contacts (contact_id) values ('known')")
    days_before = {"known": [1], "zoe": [2], "ann": [3, 1], "long_ago": [60], "later": [-2]}
    listed = [(contact_id, days) for contact_id, all_days in days_before.items() for days in all_days]
    for order_id, (contact_id, days) in zip(["o1", "o2", "o3", "o4", "o5", "o6"], listed, strict=True):
        write_order(owner, order_id, START - timedelta(days=days), START - timedelta(days=days), contact_id)
    result = ready()
    assert result.exit_code == 0
    told = "contacts, such as 'ann' (order 'o3'), have some and are not in raw.contacts. Nothing is sent"
    assert f"Orders in raw.orders: 4 {told}" in result.stdout, "before the first run all of them are looked at"
    assert said(result)["unknown_contacts"] == 4
    run_before(owner)
    result = ready()
    assert f"Orders written since 2017-09-23 in raw.orders: 2 {told}" in result.stdout
    assert said(result)["unknown_contacts"] == 2


def test_tables_under_other_names_are_found_through_the_dbt_variables(
    owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dbt_project").mkdir()
    (tmp_path / "dbt_project" / "dbt_project.yml").write_text("name: winback\nvars:\n  raw_orders: sales\n")
    monkeypatch.setenv("WINBACK_CAMPAIGNS", str(settings.read().home / "campaigns"))
    monkeypatch.setenv("WINBACK_HOME", str(tmp_path))
    vouch(owner, START)
    assert "table raw.sales (so named by raw_schema and raw_orders of dbt_project.yml) is missing" in str(
        ready().exception
    )
    owner.execute("alter table raw.orders rename to sales")
    assert ready().exit_code == 0


def test_a_schema_of_another_name_is_read_by_every_verb_or_said_to_be_closed_with_what_opens_it(
    owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dbt_project").mkdir()
    (tmp_path / "dbt_project" / "dbt_project.yml").write_text("name: winback\nvars:\n  raw_schema: shop\n")
    monkeypatch.setenv("WINBACK_CAMPAIGNS", str(settings.read().home / "campaigns"))
    monkeypatch.setenv("WINBACK_HOME", str(tmp_path))
    vouch(owner, START)
    owner.execute("alter schema raw rename to shop")
    owner.execute("revoke usage on schema shop from winback_dbt, winback_sender")
    for table, role in (("orders", "winback_dbt"), ("provider_events", "winback_sender")):
        assert (
            f"Say `grant usage on schema shop to {role}; grant select on shop.{table} to {role};` as its owner"
        ) in str(ready().exception)
    owner.execute("grant usage on schema shop to winback_dbt, winback_sender")
    assert ready().exit_code == 0
    loaded = CliRunner().invoke(register(), ["load", "codes", "winback_discount10", "3"])
    assert loaded.exit_code == 0, loaded.output
    owner.execute("insert into shop.provider_events values ('pigeon', now(), '{}', '[]')")
    with connect(Role.SENDER) as connection:
        fold_provider_events(connection, START, table=raw_contract.tables()["provider_events"])
    told = owner.execute(
        "select (select count(*) from shop.coupon_codes), (select count(*) from events.webhook_call)"
    ).fetchone()
    assert told == (3, 1)


def test_a_day_that_was_enqueued_says_so(owner: psycopg.Connection) -> None:
    vouch(owner, START)
    owner.execute("insert into outbox.definition (hash, kind, body) values ('b', 'bundle', '{}')")
    row = owner.execute(
        "insert into outbox.run (mode, clock, definition_hash, target, holder, lease_until)"
        " values ('simulated', now(), 'b', 'prod', 'x', now()) returning run_id"
    ).fetchone()
    assert row is not None
    owner.execute("insert into outbox.run_day (run_id, as_of, clock) values (%s, %s, now())", [row[0], DAY])
    assert said(ready())["enqueued_before"] is False
    for state in ("built", "validated", "enqueued"):
        owner.execute("update outbox.run set state = %s", [state])
    result = ready()
    assert said(result)["enqueued_before"] is True
    assert "nothing is done twice" in result.stdout


def test_a_campaign_file_with_a_mistake_is_named_before_the_warehouse_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(settings.read().home / "campaigns", tmp_path / "campaigns")
    file = tmp_path / "campaigns" / "winback.yml"
    file.write_text(file.read_text().replace("max_late_days: 3", "max_late_day: 3"))
    monkeypatch.setenv("WINBACK_CAMPAIGNS", str(tmp_path / "campaigns"))
    monkeypatch.setenv("WINBACK_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    error = ready().exception
    assert isinstance(error, WinbackError)
    assert "max_late_day" in str(error)


def test_a_connection_that_cannot_be_read_is_found_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(connections.variable(connections.SENDERS[-1]), "{not json")
    assert isinstance(ready().exception, Misconfigured)


def test_a_warehouse_that_was_not_migrated_says_what_to_do(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_DATABASE_URL", postgres.rpartition("/")[0] + "/postgres")
    assert "winback db migrate" in str(ready().exception)


def test_a_day_before_all_data_is_refused_with_the_datas_range(owner: psycopg.Connection) -> None:
    vouch(owner, START + timedelta(days=30))
    order(owner, START)
    order(owner, START + timedelta(days=9))
    error = str(ready().exception)
    assert "2017-10-01 lies before all data" in error
    assert "raw.orders holds orders from 2017-10-01 04:00 UTC to 2017-10-10 04:00 UTC" in error
    assert "Nothing was decided and nothing was sent." in error
    order(owner, START - timedelta(hours=1))
    assert ready().exit_code == 0


def test_a_wrong_password_is_told_from_a_server_that_does_not_answer(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = urlsplit(postgres)
    monkeypatch.setenv("WINBACK_DATABASE_URL", f"postgresql://{there.username}:hunter2@{there.netloc.split('@')[-1]}/x")
    error = str(ready().exception)
    assert "runs, and refuses the login" in error
    assert "Correct user and password in WINBACK_DATABASE_URL" in error
    assert "Start the server" not in error
    assert "hunter2" not in error


def test_a_missing_database_is_told_from_a_server_that_does_not_answer(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_DATABASE_URL", postgres.rpartition("/")[0] + "/nowhere")
    error = str(ready().exception)
    assert "runs, and has no database 'nowhere'" in error
    assert "Create it" in error
    assert "Start the server" not in error


def test_an_unreachable_warehouse_says_so_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/shop")
    error = str(ready().exception)
    assert "cannot be reached" in error
    assert "hunter2" not in error
