"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.handoff_stub import Shop, open_shop


@pytest.fixture
def shop(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop whose hand-off is made by hand: a migrated database with the stand-in relations."""
    monkeypatch.setenv("WINBACK_PUBLIC_URL", "https://links.example.com")
    monkeypatch.setenv("WINBACK_TOKEN_KEY", "test")
    opened = open_shop()
    yield opened
    opened.owner.close()
