"""The links a message carries back to us, each with a signed token and never with an address."""

from __future__ import annotations

import os
from uuid import UUID

from warehouse import connections, tokens
from warehouse.errors import Misconfigured

VARIABLE = "WINBACK_PUBLIC_URL"


def public_url() -> str:
    """Where the webhook service is reached from outside, without a trailing slash.

    `WINBACK_PUBLIC_URL`, or extra `public_url` of `sendgrid_default`. Raises `Misconfigured` when neither is set.
    """
    url = os.environ.get(VARIABLE)
    if not url:
        sendgrid = connections.find(connections.SENDGRID)
        url = str(sendgrid.extra.get("public_url") or "") if sendgrid else ""
    if not url.startswith(("https://", "http://")):
        raise Misconfigured(
            f"Nobody could unsubscribe: {VARIABLE} is not set. Set it to the address under which `winback events "
            "serve` is reached from outside (https://...). Nothing was claimed or sent."
        )
    return url.rstrip("/")


def unsubscribe_url(message_id: UUID) -> str:
    """One click (RFC 8058): goes into List-Unsubscribe and the template's `{{ unsubscribe_url }}`."""
    return f"{public_url()}/unsubscribe/{tokens.sign('unsubscribe', message_id)}"


def preferences_url(message_id: UUID) -> str:
    """The page with pause, stop and re-subscribe: the template's `{{ preferences_url }}`."""
    return f"{public_url()}/preferences/{tokens.sign('preferences', message_id)}"


def push_events_url(message_id: UUID) -> str:
    """Where a service worker reports what became of a notification."""
    return f"{public_url()}/events/webpush/{tokens.sign('webpush', message_id)}"


def test_url() -> str:
    """Where the links of a test lead: a page that says it was one and does nothing, by one click (RFC 8058), too."""
    return f"{public_url()}/test"
