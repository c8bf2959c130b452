"""What people ask for through the links in a message: the token names the message, the message leads to the person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from senders.contract import CHANNELS, EMAIL, Preference

ONE_CLICK, PAGE = "one_click", "preference_page"
PAUSES = {"pause_30": timedelta(days=30), "pause_90": timedelta(days=90)}
KINDS = {"stop": "unsubscribed", "start": "resubscribed"}
UNSUBSCRIBE = f"stop_{EMAIL}"
"""The choice that a mail program's button makes (RFC 8058), and ours beside it."""


def choose(
    choice: str, message_id: UUID, *, occurred_at: datetime, received_at: datetime, source: str = PAGE
) -> list[Preference]:
    """The rows of one button, ours or a mail program's (`source`): a pause holds for every channel.

    Raises `KeyError` for a choice that is none.
    """
    if choice in PAUSES:
        until = occurred_at + PAUSES[choice]
        asked = [Preference("", one, "paused", source, occurred_at, message_id, until=until) for one in CHANNELS]
    else:
        verb, _, channel = choice.partition("_")
        if channel not in CHANNELS:
            raise KeyError(choice)
        asked = [Preference("", channel, KINDS[verb], source, occurred_at, message_id)]
    return [_keyed(one, received_at) for one in asked]


def _keyed(asked: Preference, received_at: datetime) -> Preference:
    """With real time in its key: stop, start and stop again are three wishes, even while a simulated clock stands."""
    key = f"{asked.source}:{asked.message_id}:{asked.channel}:{asked.kind}:{received_at.isoformat()}"
    return replace(asked, event_key=key)
