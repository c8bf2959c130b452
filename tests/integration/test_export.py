"""`winback export suppressions`: addresses for other systems, in a file and nowhere else."""

from __future__ import annotations

import csv
import io
import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import register
from tests.integration.handoff_stub import BUILT_AT, Shop
from warehouse.errors import WinbackError


@pytest.fixture
def listed(shop: Shop) -> Shop:
    """Ann has unsubscribed for good, Bob's pause is over, Cem's was lifted, and Dee is no contact any more."""
    shop.planned(shop.contact("ann", email=" Ann@Example.com"))
    for contact, values in {
        "ann": {"reason": "unsubscribed"},
        "bob": {"reason": "paused", "until": BUILT_AT},
        "cem": {"reason": "unsubscribed", "lifted_at": BUILT_AT},
        "dee": {"reason": "bounced"},
    }.items():
        if contact in ("bob", "cem"):
            shop.contact(contact)
        row = {"channel": "email", "source": "test", "suppressed_at": BUILT_AT - timedelta(days=1), **values}
        shop.insert("outbox.suppression", {**row, "address_hash": b"x"} if contact == "dee" else {
            **row, "address_hash": shop.value("select outbox.address_hash('email', %s)", f"{contact}@example.com")
        })  # fmt: skip
    return shop


def export(*arguments: str) -> Result:
    return CliRunner().invoke(register(), ["export", "suppressions", *arguments])


EXPECTED = [
    ["channel", "address", "contact_id", "reason", "since", "until"],
    ["email", "Ann@Example.com", "ann", "unsubscribed", "2017-09-30T09:00:00+00:00", ""],
]


def test_the_list_says_who_must_not_be_written_to_now(listed: Shop) -> None:
    said = export()
    assert said.exit_code == 0, said.output
    assert list(csv.reader(io.StringIO(said.stdout))) == EXPECTED
    assert "1 rows written. 1 more suppressed addresses" in said.stderr
    assert "Ann@" not in said.stderr


def test_an_address_of_one_channel_is_not_taken_for_one_of_another(listed: Shop) -> None:
    listed.insert("outbox.suppression", {"channel": "sms", "reason": "stopped", "source": "test",
        "suppressed_at": BUILT_AT - timedelta(days=1),
        "address_hash": listed.value("select outbox.address_hash('email', 'ann@example.com')")})  # fmt: skip
    assert "1 rows written. 2 more suppressed addresses" in export().stderr


def test_a_file_is_its_owners_alone_and_what_is_said_of_it_names_nobody(listed: Shop, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    said = export("--file", str(file))
    assert said.exit_code == 0, said.output
    assert list(csv.reader(io.StringIO(file.read_text()))) == EXPECTED
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "@" not in said.output
    assert json.loads(said.stdout.splitlines()[-1]) == {"rows": 1, "without_contact": 1}


def test_a_folder_that_is_not_there_is_named_and_nothing_half_is_left(listed: Shop, tmp_path: Path) -> None:
    said = export("--file", str(tmp_path / "nowhere" / "out.csv"))
    assert isinstance(said.exception, WinbackError) and "nowhere" in str(said.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_task_writes_no_address_into_its_log(listed: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "r")
    said = export()
    assert isinstance(said.exception, WinbackError)
    assert said.stdout == ""
