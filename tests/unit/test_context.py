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
    real, sandboxed, *_ = connections.SENDERS
    _give(monkeypatch, **{real: False, sandboxed: True})
    with pytest.raises(Misconfigured, match=f"{sandboxed} is marked as a sandbox and {real} is not"):
        context.use_senders()


def test_with_one_real_provider_the_others_are_not_replaced_by_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    real, other, *_ = connections.SENDERS
    _give(monkeypatch, **{real: False})
    assert context.use_senders() is False
    assert connections.find(other) is None
    assert connections.find(connections.ALERTS) is None


def test_all_marked_as_sandboxes_is_a_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, **dict.fromkeys((*connections.SENDERS, connections.ALERTS), True))
    assert context.use_senders() is True
