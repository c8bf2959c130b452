from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from outbox.dispatch import Dispatched, Dispatcher
from senders.contract import EMAIL, SMS, WEBPUSH, Sender
from senders.memory.send import MemorySender
from tests.integration.handoff_stub import BUILT_AT, SEND_AT, UNTIL, Shop, open_shop


@pytest.fixture
def shop(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("WINBACK_PUBLIC_URL", "https://links.example.com")
    monkeypatch.setenv("WINBACK_TOKEN_KEY", "test")
    opened = open_shop()
    yield opened
    opened.owner.close()


class Outbound:
    """One memory sender a channel, shared by all lanes, and the instants a simulated dispatch stepped through."""

    def __init__(self, **options: Any) -> None:
        self.senders = {channel: MemorySender(channel, **options) for channel in (EMAIL, SMS, WEBPUSH)}
        self.instants: list[datetime] = []

    def factory(self, channel: str, definition: Mapping[str, Any]) -> Sender:
        return self.senders[channel]

    @property
    def sent(self) -> list[tuple[str, Any]]:
        return [(channel, message) for channel, sender in self.senders.items() for message in sender.inbox]

    def simulate(self, start: datetime = BUILT_AT, until: datetime = UNTIL, **options: Any) -> Dispatched:
        return Dispatcher(self.factory, **options).simulated(start, until, tell=self.instants.append)


def test_a_planned_message_is_sent_once_at_its_hour(shop: Shop) -> None:
    shop.planned()
    out = Outbound()
    assert out.simulate().totals == {"accepted": 1}
    assert [(channel, message.fields["first_name"]) for channel, message in out.sent] == [(EMAIL, "Robin")]
    assert out.instants == [BUILT_AT, SEND_AT, UNTIL]
    assert shop.rows("select state, accepted_at, accepted_channel from outbox.message") == [("accepted", SEND_AT, "email")]
    assert out.simulate().totals == {}
    assert len(out.sent) == 1
