"""Whether our VAPID key is one. Push services know no account, so none can be asked before something is sent."""

from __future__ import annotations

from senders.contract import Checked
from senders.webpush.transport import Transport
from warehouse.connections import Connection


def check(connection: Connection) -> Checked:
    """Raises `Misconfigured` for a password that is no VAPID private key."""
    Transport(connection, "mailto:nobody@example.com", 1)
    return Checked("the VAPID key can be read; that browsers subscribed with it shows when something is sent")
