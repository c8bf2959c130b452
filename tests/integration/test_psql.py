"""`winback db psql`: a session on the warehouse that can do no more than its role."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WINBACK = str(Path(sys.executable).parent / "winback")


def psql(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([WINBACK, "db", "psql", *arguments], capture_output=True, text=True, check=False)


def test_a_session_reads_as_the_analyst_and_sees_no_address(warehouse: str) -> None:
    database = warehouse.rpartition("/")[2]
    shown = psql("-At", "-c", "select current_user, current_database(), current_setting('TimeZone')")
    assert shown.stdout == f"winback_analyst|{database}|UTC\n", shown.stderr
    refused = psql("-c", "select email from raw.contacts")
    assert refused.returncode == 1
    assert "permission denied" in refused.stderr


def test_the_owner_is_the_login_itself_and_may_load(warehouse: str) -> None:
    asked = psql("--role", "owner", "-At", "-c", "insert into raw.contacts (contact_id) values ('7') returning 1")
    assert asked.stdout.splitlines()[0] == "1", asked.stderr


def test_a_warehouse_that_cannot_be_reached_is_told_with_what_to_do(
    warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_DATABASE_URL", warehouse.rpartition("/")[0] + "/nowhere")
    refused = psql("-c", "select 1")
    assert refused.returncode == 1
    assert "has no database 'nowhere'" in refused.stderr
    assert "`createdb`, then `winback db migrate`" in refused.stderr


def test_another_role_is_taken_on_by_name_and_an_unknown_one_is_refused(warehouse: str) -> None:
    assert psql("--role", "winback_sender", "-At", "-c", "select current_user").stdout == "winback_sender\n"
    refused = psql("--role", "postgres", "-c", "select 1")
    assert refused.returncode == 2
    assert all(role in refused.stderr for role in ("winback_dbt", "winback_sender", "winback_webhook"))
