"""Where Twilio calls us, as it was told: it signs that address, whatever a proxy in between makes of it."""

from __future__ import annotations

from senders import links
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

INBOUND = "/inbound"


def webhook_url(connection: Connection) -> str:
    """Status callbacks: the connection's extra `webhook_url`, or `/events/twilio` under our public address.

    Without a trailing slash. Raises `Misconfigured` when there is neither, and for one to which nothing can be added:
    our id follows as its query, inbound texts as its path.
    """
    given = str(connection.extra.get("webhook_url") or "").rstrip("/")
    if given and ("?" in given or "#" in given or not given.startswith(("https://", "http://"))):
        raise Misconfigured(
            f"The extra webhook_url of {connection.conn_id} is no address to which Twilio could report: expected "
            "https://, a host and a path, and neither a query (?) nor a fragment (#). Nothing was claimed or sent."
        )
    return given or f"{links.public_url()}/events/twilio"


def addresses(connection: Connection) -> dict[str, str]:
    """What comes in where, for whoever sets it up. Raises `Misconfigured`."""
    told = webhook_url(connection)
    return {"status callbacks": told, "inbound texts": f"{told}{INBOUND}"}
