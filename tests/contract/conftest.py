"""The provider under test, one after another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.providers import PROVIDERS, Provider, WebPush
from tests.contract.stub import Stub, running


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A recorded HTTP stub."""
    with running() as it:
        yield it


@pytest.fixture(params=list(PROVIDERS))
def provider(request: pytest.FixtureRequest, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Each provider in turn, accepting what it is given."""
    made = PROVIDERS[request.param](stub, monkeypatch.setenv)
    made.behaves("accepts")
    return made


@pytest.fixture
def webpush(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> WebPush:
    """A push service that accepts."""
    made = WebPush(stub, monkeypatch.setenv)
    made.behaves("accepts")
    return made
