"""`winback suppress --file`: another system's stop list, honoured here."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import register
from outbox.runs import business_now
from outbox.sql import ledger
from tests.integration.events_service import rows
from tests.integration.handoff_stub import BUILT_AT, Shop
from warehouse.errors import WinbackError

STOPPED = (
    "select channel, address_hash = outbox.address_hash('email', 'ann@example.com'), reason, source, until is null"
    " from outbox.suppression order by channel, until"
)


def suppress(file: Path, text: str | None = None, *more: str) -> Result:
    if text is not None:
        file.write_text(text)
    return CliRunner().invoke(register(), ["suppress", "--file", str(file), "--by", "old tool", *more])


def told(said: Result) -> dict[str, Any]:
    assert said.exit_code == 0, said.output
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return found


def test_every_address_of_a_list_is_suppressed_once_and_nobody_is_named(warehouse: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    said = suppress(file, "channel,address\nemail, Ann@Example.com\nEMAIL,ann@example.com\nsms,+12025550101\n\n")
    assert told(said) == {"lines": 3, "addresses": 2, "over": 0, "suppressed": 2}
    assert "3 lines read: 2 addresses suppressed, 0 by an earlier list already" in said.output
    assert "ann" not in said.output.lower()
    assert "2025550101" not in said.output
    expected = [("email", True, "imported", "old tool", True), ("sms", False, "imported", "old tool", True)]
    assert rows(warehouse, STOPPED) == expected
    assert told(suppress(file))["suppressed"] == 0
    assert rows(warehouse, STOPPED) == expected


def test_what_the_export_writes_is_read_back(shop: Shop, tmp_path: Path) -> None:
    shop.planned(shop.contact("ann", email=" Ann@Example.com", phone="+12025550101"))
    for channel, address, until in (
        ("email", "ann@example.com", None),
        ("sms", "+12025550101", BUILT_AT + timedelta(days=300)),
    ):
        shop.insert("outbox.suppression", {"channel": channel, "reason": "unsubscribed", "source": "test",
            "suppressed_at": BUILT_AT - timedelta(days=1), "until": until,
            "address_hash": shop.value("select outbox.address_hash(%s, %s)", channel, address)})  # fmt: skip
    file = tmp_path / "out.csv"
    assert CliRunner().invoke(register(), ["export", "suppressions", "--file", str(file)]).exit_code == 0
    assert told(suppress(file)) == {"lines": 2, "addresses": 2, "over": 0, "suppressed": 2}
    found = shop.rows(
        "select i.channel from outbox.suppression i join outbox.suppression o using (channel, address_hash,"
        " suppressed_at) where i.reason = 'imported' and o.reason = 'unsubscribed'"
        " and i.until is not distinct from o.until order by 1"
    )
    assert [row[0] for row in found] == ["email", "sms"]


def test_a_live_ledger_stands_in_the_present_and_not_at_its_last_message(shop: Shop, tmp_path: Path) -> None:
    """Otherwise other systems would go on writing to whoever opted out since."""
    shop.planned(shop.contact("ann", email="ann@example.com"), run_mode="live")
    accepted = "update outbox.message set state = 'accepted', accepted_at = %s, accepted_channel = 'email'"
    shop.owner.execute("update outbox.message set state = 'sending'")
    shop.owner.execute(accepted, [BUILT_AT])
    file = tmp_path / "list.csv"
    assert told(suppress(file, "channel,address\nemail,ann@example.com\n"))["suppressed"] == 1
    assert shop.value("select now() - suppressed_at < '1 hour' from outbox.suppression")
    assert told(CliRunner().invoke(register(), ["export", "suppressions", "--file", str(tmp_path / "out.csv")])) == {
        "rows": 1,
        "without_contact": 0,
    }


def test_what_was_said_since_the_last_dispatch_is_in_the_export(shop: Shop, tmp_path: Path) -> None:
    shop.contact("ann", email="ann@example.com")
    now = datetime.now(UTC)
    shop.owner.execute(
        "insert into events.preference (event_key, channel, kind, source, address_hash, occurred_at, received_at)"
        " values ('x', 'email', 'unsubscribed', 'one_click', outbox.address_hash('email', 'ann@example.com'), %s, %s)",
        [now + timedelta(minutes=3), now],
    )
    file = tmp_path / "out.csv"
    said = told(CliRunner().invoke(register(), ["export", "suppressions", "--file", str(file)]))
    assert (said["rows"], "ann@example.com" in file.read_text()) == (1, True), "though its host's clock is ahead"


def test_a_list_extends_an_earlier_one_never_shortens_it_and_what_is_over_stays_out(
    warehouse: str, tmp_path: Path
) -> None:
    with ledger() as connection:
        now = business_now(connection)
    file = tmp_path / "list.csv"

    def until(days: int | None) -> dict[str, Any]:
        moment = (now + timedelta(days=days)).isoformat() if days is not None else ""
        return told(suppress(file, f"channel,address,until\nemail,ann@example.com,{moment}\n"))

    assert until(-1) == {"lines": 1, "addresses": 1, "over": 1, "suppressed": 0}
    assert [until(days)["suppressed"] for days in (30, 10, 90, None, 10)] == [1, 0, 1, 1, 0]
    assert rows(warehouse, STOPPED) == [("email", True, "imported", "old tool", True)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("address\nzoe@example.com\n", "line 1: expected a header with channel, address"),
        ("zoe@example.com,email\n", "line 1: expected a header with channel, address"),
        ("channel,address\n", "no line below its header"),
        ("channel,address\npigeon,zoe@example.com\nemail,zoe@example.com\n,x\n", "lines 2 and 4: channel is none of"),
        ("channel,address\nemail,zoe.example.com\n", "line 2: address is no e-mail address"),
        ("channel,address\nemail,zoe@example.com,x\n", "line 2: it has more cells than the header"),
        ("channel,address\nemail,\n", "line 2: address is no e-mail address"),
        ("channel,address\nsms,2025550101\n", "line 2: address is no phone in E.164"),
        ("channel,address,until\nemail,zoe@example.com,soon\n", "line 2: until is no time"),
        ('channel,address\nemail,"zoe@example.com\n', "cannot be read as CSV"),
    ],
)
def test_a_mistake_is_told_by_its_line_and_nothing_is_suppressed(
    warehouse: str, tmp_path: Path, text: str, words: str
) -> None:
    said = suppress(tmp_path / "list.csv", text)
    assert isinstance(said.exception, WinbackError)
    assert words in str(said.exception)
    assert "Nothing was suppressed" in str(said.exception)
    assert "zoe" not in str(said.exception)
    assert rows(warehouse, "select 1 from outbox.suppression") == []


def test_a_contact_and_a_list_at_once_are_refused(tmp_path: Path) -> None:
    said = suppress(tmp_path / "list.csv", "channel,address\n", "4711")
    assert said.exit_code == 2
    assert CliRunner().invoke(register(), ["suppress", "--by", "x"]).exit_code == 2
