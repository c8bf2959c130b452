"""The sandbox as a process of its own: started once however many ask, found again, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from cli import context
from cli.main import register
from local.sandbox import server
from senders import registry
from senders.contract import OutcomeKind
from warehouse import connections


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: str) -> Iterator[Path]:
    """A `.local` of the test's own, with its own warehouse."""
    monkeypatch.setenv("WINBACK_LOCAL", str(tmp_path))
    yield tmp_path
    server.stop()


def test_two_processes_that_ask_at_once_get_the_same_sandbox(home: Path) -> None:
    command = [sys.executable, "-c", "from local.sandbox import server; print(server.ensure().url)"]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    urls = {process.communicate(timeout=60)[0].strip() for process in asking}
    assert [process.returncode for process in asking] == [0, 0, 0]
    assert len(urls) == 1
    (it,) = server.instances()
    running = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
    assert running.count(f"local.sandbox {it.folder}") == 1


def test_it_keeps_its_keys_port_and_messages_over_a_stop(home: Path) -> None:
    first = server.ensure()
    first.set_clock(datetime(2017, 10, 1, 16, tzinfo=UTC))
    _mail(first)
    assert server.stop() == 1
    assert server.running() is None
    second = server.ensure()
    assert (second.url, second.keys) == (first.url, first.keys)
    assert second.status()["accepted"] == {"email": 1}
    assert second.status()["clock"] == "2017-10-01T16:00:00+00:00"


def test_nobody_else_can_read_its_secrets(home: Path) -> None:
    server.ensure()
    (it,) = server.instances()
    assert it.folder.stat().st_mode & 0o777 == 0o700
    for path in it.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_another_warehouse_gets_a_sandbox_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = server.ensure()
    monkeypatch.setenv("WINBACK_DATABASE_URL", os.environ["WINBACK_DATABASE_URL"] + "_other")
    second = server.ensure()
    assert first.url != second.url
    assert server.stop() == 2


def test_what_comes_back_reaches_the_warehouse_through_the_webhook_service(home: Path, warehouse: str) -> None:
    sandbox = server.ensure()
    now = datetime(2017, 10, 1, 16, tzinfo=UTC)
    sandbox.set_clock(now)
    _mail(sandbox, 50)
    sandbox.set_clock(now + timedelta(days=1))
    sandbox.drain()
    with psycopg.connect(warehouse) as connection:
        rows = connection.execute("select kind, count(*), max(occurred_at) from events.delivery_event group by kind")
        found = {kind: (count, latest) for kind, count, latest in rows}
    assert found["accepted"][0] == 50
    assert found["delivered"][0] > 40
    assert found["delivered"][1] < now + timedelta(days=1)


def test_the_webhook_service_ends_with_the_sandbox(home: Path) -> None:
    handle = server.ensure()
    handle.drain()
    (it,) = server.instances()
    _wait_for_health(handle)
    server.stop()
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{handle.events_url}/health", timeout=2)
    assert not (it.folder / "events.pid").exists()


def test_the_command_starts_shows_and_stops_it(home: Path) -> None:
    runner, app = CliRunner(), register(["sandbox"])
    assert "not running" in runner.invoke(app, ["sandbox", "status"]).output
    assert "/inbox" in runner.invoke(app, ["sandbox", "start"]).output
    shown = runner.invoke(app, ["sandbox", "fault", "throttle", "--channel", "sms", "--next", "20"])
    assert "throttle" in shown.output
    status = runner.invoke(app, ["sandbox", "status"]).output
    assert "To customers:    nothing" in status
    assert "To the team:     no alert" in status
    assert "behaves again" in runner.invoke(app, ["sandbox", "fault", "--clear"]).output
    assert "empty" in runner.invoke(app, ["sandbox", "reset"]).output
    assert runner.invoke(app, ["sandbox", "stop"]).exit_code == 0


def test_the_status_tells_alerts_to_the_team_from_messages_to_customers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for conn_id in (*connections.SENDERS, connections.ALERTS):
        monkeypatch.delenv(connections.variable(conn_id), raising=False)
    handle = server.ensure()
    handle.set_clock(datetime(2017, 10, 1, 16, tzinfo=UTC))
    _mail(handle, 2)
    context.use_senders()
    assert registry.notifier()("No code left", "Load some.", str(uuid.uuid4())).kind is OutcomeKind.ACCEPTED
    status = CliRunner().invoke(register(["sandbox"]), ["sandbox", "status"]).output
    assert "To customers:    2 e-mails\n" in status
    assert "To the team:     1 alert\n" in status
    assert "Clock:           2017-10-01 16:00 UTC\n" in status


def test_a_sandbox_whose_folder_is_gone_ends_by_itself(home: Path) -> None:
    handle = server.ensure()
    (it,) = server.instances()
    server.forget(it)
    with pytest.raises(httpx.HTTPError):
        for _ in range(200):
            time.sleep(0.1)
            httpx.get(f"{handle.url}/control/health", timeout=5)


def _mail(sandbox: server.Handle, count: int = 1) -> None:
    connection = sandbox.connections()["sendgrid_default"]
    mail = {
        "personalizations": [{"to": [{"email": f"a{number}@example.com"}]} for number in range(count)],
        "from": {"email": "hello@shop.example.com"},
        "subject": "Hi",
        "content": [{"type": "text/plain", "value": "Hi"}],
    }
    headers = {"Authorization": f"Bearer {connection['password']}", "Content-Type": "application/json"}
    answer = httpx.post(f"{connection['host']}/v3/mail/send", content=json.dumps(mail), headers=headers)
    assert answer.status_code == 202


def _wait_for_health(handle: server.Handle) -> None:
    transport = httpx.HTTPTransport(retries=5)
    with httpx.Client(transport=transport) as client:
        assert client.get(f"{handle.events_url}/health", timeout=20).status_code == 200
