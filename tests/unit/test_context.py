"""Sandbox or real providers: never both in one process."""

from __future__ import annotations

import json

import pytest

from cli import context
from warehouse import connections
from warehouse.errors import Misconfigured


def _give(monkeypatch: pytest.MonkeyPatch, **marks: bool) -> None:
    for conn_id in (*connections.SENDERS, connections.ALERTS):
        monkeypatch.delenv(connections.variable(conn_id), raising=False)
    for conn_id, sandbox in marks.items():
        document = {"conn_type": "http", "password": "a key", "extra": {"sandbox": True} if sandbox else {}}
        monkeypatch.setenv(connections.variable(conn_id), json.dumps(document))


def test_a_real_provider_beside_a_sandbox_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, sendgrid_default=False, twilio_default=True)
    with pytest.raises(Misconfigured, match="twilio_default is marked as a sandbox and sendgrid_default is not"):
        context.use_senders()


def test_with_one_real_provider_the_others_are_not_replaced_by_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, sendgrid_default=False)
    assert context.use_senders() is False
    assert connections.find(connections.TWILIO) is None
    assert connections.find(connections.ALERTS) is None


def test_all_marked_as_sandboxes_is_a_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, sendgrid_default=True, twilio_default=True, webpush_default=True, alerts=True)
    assert context.use_senders() is True
