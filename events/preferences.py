"""What people ask for through the links in a message: the token names the message, the message leads to the person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from senders.contract import CHANNELS, EMAIL, Preference

ONE_CLICK, PAGE = "one_click", "preference_page"
PAUSES = {"pause_30": timedelta(days=30), "pause_90": timedelta(days=90)}
KINDS = {"stop": "unsubscribed", "start": "resubscribed"}


def unsubscribe(message_id: UUID, *, source: str, occurred_at: datetime, received_at: datetime) -> list[Preference]:
    """No more e-mail, by a mail program's button (RFC 8058) or ours."""
    asked = Preference("", EMAIL, "unsubscribed", source, occurred_at, message_id)
    return [_keyed(asked, received_at)]


def choose(choice: str, message_id: UUID, *, occurred_at: datetime, received_at: datetime) -> list[Preference]:
    """The rows of one button: a pause holds for every channel. Raises `KeyError` for a choice that is none."""
    if choice in PAUSES:
        until = occurred_at + PAUSES[choice]
        asked = [Preference("", one, "paused", PAGE, occurred_at, message_id, until=until) for one in CHANNELS]
    else:
        verb, _, channel = choice.partition("_")
        if channel not in CHANNELS:
            raise KeyError(choice)
        asked = [Preference("", channel, KINDS[verb], PAGE, occurred_at, message_id)]
    return [_keyed(one, received_at) for one in asked]


def _keyed(asked: Preference, received_at: datetime) -> Preference:
    """With real time in its key: stop, start and stop again are three wishes, even while a simulated clock stands."""
    key = f"{asked.source}:{asked.message_id}:{asked.channel}:{asked.kind}:{received_at.isoformat()}"
    return replace(asked, event_key=key)
