"""A call's way: judged by its vendor, kept raw with the verdict, read, and its events added."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from events.limits import (
    KEPT_BY_LINK,
    KEPT_OF_A_HEADER,
    KEPT_OF_A_URL,
    KEPT_OF_REFUSED,
    LITTLE_OF_REFUSED,
    ROW_COSTS,
    Allowance,
    Sample,
)
from events.repeats import Link
from events.store import Call, Store
from senders.contract import Event, Unreadable, Verdict, WebhookCall
from senders.twilio import events as twilio
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
"""What the caller is told. 503 says that it may come again, which SendGrid does."""

REASONS: Mapping[Verdict, str] = {
    Verdict.UNSIGNED: "The signature's headers are missing.",
    Verdict.WRONG_SIGNATURE: "The signature does not fit this body and this address.",
    Verdict.MALFORMED: "It is not what this provider sends.",
    Verdict.STALE: "It was signed more than 25 hours ago, or in the future.",
    Verdict.UNVERIFIABLE: "No key is configured to verify it by; it was refused for now.",
    Verdict.OVERSIZED: "The body is larger than is taken here.",
}

REFUSED = Allowance()
"""The room that refused calls have on the disk, by day, in this process."""

SAMPLE = Sample()
"""And those of them that are kept beyond it."""

_ORIGIN = re.compile(r"^[^:/?]+://[^/?]*")
"""Scheme, host, and what may stand before the host: a password."""

KEPT_HEADERS = frozenset(
    {
        "content-type",
        "content-length",
        "user-agent",
        "i-twilio-idempotency-token",
        "x-twilio-signature",
        "x-twilio-webhooks-signature-settings",
        "x-twilio-email-event-webhook-signature",
        "x-twilio-email-event-webhook-timestamp",
    }
)
"""By name, for a caller may add as many others as they like."""


@dataclass(frozen=True)
class Vendor:
    """How one provider's calls are judged and read."""

    provider: str
    verify: Callable[[WebhookCall, Connection | None], Verdict]
    parse: Callable[[WebhookCall], list[Event]]
    connection: Connection | None
    link: Link | None = None
    """Where a link of ours is all that its calls need. Anybody may hold one, so little of them is kept."""


def receive(vendor: Vendor, call: WebhookCall, store: Store, *, keep_refused: bool = True) -> Verdict:
    """Leads one call through. Whatever it holds is kept; only a verified one adds events.

    Without `keep_refused` one that cannot be verified is not kept: its caller has sent too many. Nor is one by a link
    that was used too often, if it cannot be read or repeats what is there.
    """
    verdict = vendor.verify(call, vendor.connection)
    if verdict is not Verdict.VERIFIED:
        if keep_refused:
            keep(vendor.provider, call, verdict, store)
        return verdict
    events, reason = read(vendor.parse, call)
    most = KEPT_BY_LINK if vendor.link else None
    reported = {event.event_key: "" for event in events}
    if vendor.link and not vendor.link.take() and (reason is not None or vendor.link.repeats(reported)):
        return verdict if reason is None else Verdict.MALFORMED
    if reason is None:
        keep(vendor.provider, call, verdict, store, events=events, most=most)
        if vendor.link:
            vendor.link.remember(reported)
        return verdict
    keep(vendor.provider, call, Verdict.MALFORMED, store, reason=f"It cannot be read: {reason}.", most=most)
    return Verdict.MALFORMED


def read(parse: Callable[[WebhookCall], list[Event]], call: WebhookCall) -> tuple[list[Event], str | None]:
    """The events of a verified call, or none and why it cannot be read, without a word of what it holds.

    Whatever a parser raises is a reason: a call that it stumbles over is kept as malformed like any other, so that it
    can be read again once the parser is mended.
    """
    try:
        return parse(call), None
    except Unreadable as error:
        return [], str(error)
    except RecursionError:
        return [], "it is nested too deeply"
    except Exception as error:  # noqa: BLE001 - a fault of the parser must lose no call; the caller logs the reason
        return [], f"the parser stumbled over it ({type(error).__name__})"


def keep(
    provider: str,
    call: WebhookCall,
    verdict: Verdict,
    store: Store,
    *,
    events: list[Event] | None = None,
    reason: str | None = None,
    most: int | None = KEPT_OF_REFUSED,
) -> None:
    """Keeps the call with its verdict, and the events it brought.

    Of its body `most` bytes, or all (None) where a provider has signed it. Once the day's room is used up, a few bytes
    of a refused one and no headers, and of many only some. The hash is that of all that was read.
    """
    body, headers = call.body[:most], kept_headers(call.headers)
    if provider == twilio.PROVIDER:
        # Our id is nowhere else: without it a call could not be read again.
        headers["url"] = _ORIGIN.sub("", call.url)[:KEPT_OF_A_URL]
    if most is not None and verdict is not Verdict.VERIFIED:
        size = ROW_COSTS + len(body) + sum(len(name) + len(text) for name, text in headers.items())
        if not REFUSED.take(size, call.received_at.date()):
            passed_over = SAMPLE.take()
            if passed_over is None:
                return
            body, headers = body[:LITTLE_OF_REFUSED], {}
            if passed_over:
                reason = f"{reason or REASONS.get(verdict)} {passed_over:,} more were refused before it, and not kept."
    row = Call(
        provider,
        call.received_at,
        verdict,
        headers,
        body,
        reason or REASONS.get(verdict),
        digest=hashlib.sha256(call.body).digest(),
    )
    store.keep(row, events or [])
    if verdict is not Verdict.VERIFIED:
        log.warning("A call for %s was refused (%s): %s Kept as %s.", provider, verdict.value, row.reason, row.call_id)


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers worth keeping; never a credential or a cookie."""
    return {name: text[:KEPT_OF_A_HEADER] for name, text in headers.items() if name in KEPT_HEADERS}
