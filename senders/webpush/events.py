"""What the shop's service worker reports of a notification, by a signed link: `{"event": "clicked"}`, or `shown`.

Push services report nothing back; the link's token names the message, so that whoever holds it speaks for that
message alone, and in the words below alone.
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
ENGAGEMENTS = {"clicked": EngagementKind.CLICKED, "opened": EngagementKind.OPENED}
DELIVERIES = {"shown": DeliveryKind.DELIVERED, "delivered": DeliveryKind.DELIVERED}


def parse(call: WebhookCall, message_id: UUID) -> list[Event]:
    """One event of one message, once each. Raises `Unreadable`."""
    try:
        name = json.loads(call.body)["event"]
    except (ValueError, KeyError, TypeError):
        name = None
    if not isinstance(name, str):
        raise Unreadable('JSON like {"event": "clicked"} was expected')
    key = f"{PROVIDER}:{message_id}:{name}"
    if name in ENGAGEMENTS:
        return [EngagementEvent(key, PROVIDER, WEBPUSH, ENGAGEMENTS[name], call.occurred_at, message_id)]
    if name in DELIVERIES:
        return [DeliveryEvent(key, PROVIDER, WEBPUSH, DELIVERIES[name], call.occurred_at, message_id)]
    raise Unreadable(f"the event is one of {', '.join((*ENGAGEMENTS, *DELIVERIES))}")
