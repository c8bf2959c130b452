"""Where Twilio calls us, as it was told: it signs that address, whatever a proxy in between makes of it."""

from __future__ import annotations

from senders import links
from warehouse.connections import Connection

INBOUND = "/inbound"


def webhook_url(connection: Connection) -> str:
    """Status callbacks: the connection's extra `webhook_url`, or `/events/twilio` under our public address.

    Without a trailing slash. Raises `Misconfigured` when there is neither.
    """
    given = str(connection.extra.get("webhook_url") or "").rstrip("/")
    return given or f"{links.public_url()}/events/twilio"


def addresses(connection: Connection) -> dict[str, str]:
    """What comes in where, for whoever sets it up. Raises `Misconfigured`."""
    told = webhook_url(connection)
    return {"status callbacks": told, "inbound texts": f"{told}{INBOUND}"}
