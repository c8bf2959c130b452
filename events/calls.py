"""A call's way: judged by its vendor, kept raw with the verdict, read, and its events added."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from events.limits import KEPT_OF_REFUSED
from events.store import Call, Store
from senders.contract import Event, Unreadable, Verdict, WebhookCall
from warehouse.connections import Connection

log = logging.getLogger("winback.events")

STATUS: Mapping[Verdict, int] = {
    Verdict.VERIFIED: 200,
    Verdict.UNSIGNED: 401,
    Verdict.WRONG_SIGNATURE: 403,
    Verdict.STALE: 403,
    Verdict.MALFORMED: 400,
    Verdict.OVERSIZED: 413,
    Verdict.UNVERIFIABLE: 503,
}
"""What the caller is told. 503 makes a provider try again later: nothing is lost while a key is missing."""

REASONS: Mapping[Verdict, str] = {
    Verdict.UNSIGNED: "The signature's headers are missing.",
    Verdict.WRONG_SIGNATURE: "The signature does not fit this body and this address.",
    Verdict.STALE: "It was signed more than 25 hours ago, or in the future.",
    Verdict.UNVERIFIABLE: "No key is configured to verify it by; it was refused for now.",
    Verdict.OVERSIZED: "The body is larger than 5 MB.",
}

KEPT_HEADERS = ("content-type", "content-length", "user-agent", "i-twilio-idempotency-token")
KEPT_PREFIXES = ("x-twilio-",)


@dataclass(frozen=True)
class Vendor:
    """How one provider's calls are judged and read."""

    provider: str
    verify: Callable[[WebhookCall, Connection | None], Verdict]
    parse: Callable[[WebhookCall], list[Event]]
    connection: Connection | None


def receive(vendor: Vendor, call: WebhookCall, store: Store) -> Verdict:
    """Leads one call through. Whatever it holds is kept; only a verified one adds events."""
    verdict, events = vendor.verify(call, vendor.connection), list[Event]()
    reason = REASONS.get(verdict)
    if verdict is Verdict.VERIFIED:
        try:
            events = vendor.parse(call)
        except Unreadable as error:
            verdict, reason = Verdict.MALFORMED, f"It cannot be read: {error}."
        except RecursionError:
            verdict, reason = Verdict.MALFORMED, "It cannot be read: it is nested too deeply."
    keep(vendor.provider, call, verdict, store, events=events, reason=reason)
    return verdict


def keep(
    provider: str,
    call: WebhookCall,
    verdict: Verdict,
    store: Store,
    *,
    events: list[Event] | None = None,
    reason: str | None = None,
) -> None:
    """Keeps the call with its verdict, and the events it brought."""
    body = call.body if verdict is Verdict.VERIFIED else call.body[:KEPT_OF_REFUSED]
    row = Call(provider, call.received_at, verdict, kept_headers(call.headers), body, reason or REASONS.get(verdict))
    store.keep(row, events or [])
    if verdict is not Verdict.VERIFIED:
        log.warning("A call for %s was refused (%s): %s Kept as %s.", provider, verdict.value, row.reason, row.call_id)


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers worth keeping; never a credential or a cookie."""
    return {
        name: text[:1000] for name, text in headers.items() if name in KEPT_HEADERS or name.startswith(KEPT_PREFIXES)
    }
