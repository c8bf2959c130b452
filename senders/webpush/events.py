"""What the shop's service worker reports of a notification, by a signed link: `{"event": "clicked"}`, or `shown`.

Push services report nothing back; the link's token names the message, so that whoever holds it speaks for that
message alone.
"""

from __future__ import annotations

import json
from uuid import UUID

from senders.contract import (
    WEBPUSH,
    DeliveryEvent,
    DeliveryKind,
    EngagementEvent,
    EngagementKind,
    Event,
    Unreadable,
    WebhookCall,
)

PROVIDER = "webpush"


def parse(call: WebhookCall, message_id: UUID) -> list[Event]:
    """One event of one message, once each. Raises `Unreadable`."""
    try:
        name = json.loads(call.body)["event"]
    except (ValueError, KeyError, TypeError):
        name = None
    if not isinstance(name, str):
        raise Unreadable('JSON like {"event": "clicked"} was expected')
    key = f"{PROVIDER}:{message_id}:{name[:60]}"
    if name in {"clicked", "opened"}:
        clicked = EngagementKind.CLICKED if name == "clicked" else EngagementKind.OPENED
        return [EngagementEvent(key, PROVIDER, WEBPUSH, clicked, call.occurred_at, message_id)]
    kind = DeliveryKind.DELIVERED if name in {"shown", "delivered"} else DeliveryKind.UNKNOWN
    code = None if kind is DeliveryKind.DELIVERED else name[:60]
    return [DeliveryEvent(key, PROVIDER, WEBPUSH, kind, call.occurred_at, message_id, code=code)]
