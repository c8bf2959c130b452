"""SendGrid's Event Webhook read: a JSON array, every item of it, once `signature` has judged it.

Item: `event`, `timestamp` (Unix seconds), `sg_event_id`, `sg_message_id`, our `message_id` from custom_args, and what
its type adds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from senders import wire
from senders.contract import (
    EMAIL,
    AddressFault,
    DeliveryEvent,
    DeliveryKind,
    EngagementEvent,
    EngagementKind,
    Event,
    Preference,
    Unreadable,
    WebhookCall,
)
from senders.sendgrid.signature import CONNECTION, is_ready, verify

__all__ = ["CONNECTION", "PROVIDER", "is_ready", "parse", "verify"]

PROVIDER = "sendgrid"
DELIVERIES = {
    "processed": DeliveryKind.ACCEPTED,
    "delivered": DeliveryKind.DELIVERED,
    "deferred": DeliveryKind.DEFERRED,
    "bounce": DeliveryKind.BOUNCED,
    "dropped": DeliveryKind.DROPPED,
}
ENGAGEMENTS = {
    "open": EngagementKind.OPENED,
    "click": EngagementKind.CLICKED,
    "unsubscribe": EngagementKind.UNSUBSCRIBED,
    "group_unsubscribe": EngagementKind.UNSUBSCRIBED,
    "spamreport": EngagementKind.COMPLAINED,
}
PREFERENCES = {
    "unsubscribe": ("unsubscribed", "provider"),
    "group_unsubscribe": ("unsubscribed", "provider"),
    "spamreport": ("unsubscribed", "complaint"),
}
"""A no to any group counts for us. A yes to one (`group_resubscribe`) does not: our mail belongs to no group, so it was
said about other mail. It is kept as a type that means nothing here."""

DROPPED: Mapping[str, AddressFault | None] = {
    "bounced address": AddressFault.INVALID,
    "invalid": AddressFault.INVALID,
    "unsubscribed address": AddressFault.UNSUBSCRIBED,
    "spam reporting address": AddressFault.COMPLAINED,
    "unsubscribed group": None,
    "spam content": None,
    "invalid smtpapi header": None,
    "recipient list over package quota": None,
    "duplicate message": None,
}
"""Why SendGrid did not even try, and what that says of the address (Event Webhook reference, `dropped`; Drops). The
drop for an unsubscribed group stands in neither list."""
BOUNCES = frozenset({"bounce", "blocked"})
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
"""RFC 3463, 2."""

_TOKEN = re.compile(r"(/(?:unsubscribe|preferences)/)[^/?#]+")
"""A link back to us is a key to somebody's preferences: a click on it is kept without the token."""


def parse(call: WebhookCall) -> list[Event]:
    """Every item as an event, an unknown type included. Raises `Unreadable` when the body is no JSON array."""
    try:
        items = json.loads(call.body)
    except ValueError as error:
        raise Unreadable(f"not JSON ({type(error).__name__})") from None
    if not isinstance(items, list):
        raise Unreadable(f"a JSON array was expected, not {type(items).__name__}")
    events = list[Event]()
    for item in items:
        _add(events, item, call)
    return events


def _add(events: list[Event], item: Any, call: WebhookCall) -> None:
    item = item if isinstance(item, dict) else {"event": f"not an object: {type(item).__name__}", "item": item}
    name = str(item.get("event"))
    key = _key(item)
    occurred_at = _time(item.get("timestamp"), call.occurred_at)
    message_id = _uuid(item.get("message_id"))
    if name in PREFERENCES:
        asked, source = PREFERENCES[name]
        address = str(item["email"]) if item.get("email") else None
        events.append(Preference(key, EMAIL, asked, source, occurred_at, message_id, address))
    provider_id = _provider_id(item.get("sg_message_id"))
    if name in ENGAGEMENTS:
        url = _TOKEN.sub(r"\1…", str(item["url"]))[:2000] if item.get("url") else None
        did, machine = ENGAGEMENTS[name], _is_machine(item)
        events.append(EngagementEvent(key, PROVIDER, EMAIL, did, occurred_at, message_id, provider_id, machine, url))
    elif name not in PREFERENCES:
        kind = DELIVERIES.get(name, DeliveryKind.UNKNOWN)
        if name == "bounce" and item.get("type") == "blocked":
            kind = DeliveryKind.FAILED  # refused this once (a full mailbox, a policy): the address stays good
        words = item.get("reason") or item.get("response")
        detail = wire.scrub(words) if words else None
        code, fault = _code(name, item), _fault(kind, item)
        events.append(
            DeliveryEvent(key, PROVIDER, EMAIL, kind, occurred_at, message_id, provider_id, code, detail, fault)
        )


def _fault(kind: DeliveryKind, item: dict[str, Any]) -> AddressFault | None:
    """`bounced` says it by itself; a block is soft; a drop has its reason in words."""
    if kind is DeliveryKind.FAILED:
        return AddressFault.SOFT
    return DROPPED.get(_reason(item)) if kind is DeliveryKind.DROPPED else None


def _reason(item: dict[str, Any]) -> str:
    return str(item.get("reason")).strip().lower()


def _is_machine(item: dict[str, Any]) -> bool:
    """Opens that no person made: marked by SendGrid, or fetched ahead as Apple Mail does (a bare Mozilla/5.0)."""
    marked = str(item.get("sg_machine_open")).lower() == "true"
    return item.get("event") == "open" and (marked or str(item.get("useragent") or "").strip() == "Mozilla/5.0")


def _code(name: str, item: dict[str, Any]) -> str | None:
    """A word that SendGrid documents: analysts read codes. Words of any other kind stand in `detail`, scrubbed."""
    if name == "bounce":
        kind, status = str(item.get("type")), str(item.get("status"))
        return (kind if kind in BOUNCES else "bounce") + (f" {status}" if _STATUS.fullmatch(status) else "")
    if name == "dropped":
        return _reason(item).replace(" ", "_") if _reason(item) in DROPPED else "dropped"
    return wire.scrub(name, 60) if name not in DELIVERIES else None


def _key(item: dict[str, Any]) -> str:
    """`sg_event_id`; an item without one is known by its content, so that a replay still adds nothing."""
    given = item.get("sg_event_id")
    if isinstance(given, str) and given:
        return f"{PROVIDER}:{given[:200]}"
    digest = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()
    return f"{PROVIDER}:sha256:{digest}"


def _time(value: Any, otherwise: datetime) -> datetime:
    try:
        found = datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return otherwise
    return found if found.year >= 2000 else otherwise


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _provider_id(value: Any) -> str | None:
    """`X-Message-Id` as the send answered it: what stands before SendGrid's routing."""
    text = str(value or "")
    for mark in (".recvd-", ".filter"):
        text = text.partition(mark)[0]
    return text[:200] or None
