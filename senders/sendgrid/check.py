"""Whether SendGrid takes our key, and lets it send: asked of `GET /v3/scopes`, which changes nothing."""

from __future__ import annotations

from senders.contract import Checked
from senders.sendgrid.transport import Transport
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

NEEDED = "mail.send"


def check(connection: Connection) -> Checked:
    """Raises `Misconfigured` for a key that is refused or may not send, `SendError` without a clear answer."""
    scopes = Transport(connection).scopes()
    if NEEDED not in scopes:
        raise Misconfigured(
            f"SendGrid takes the key of {connection.conn_id!r}, and the key may not send: it lacks the scope {NEEDED}. "
            "Give it Mail Send in SendGrid (Settings, API Keys)."
        )
    return Checked("SendGrid takes the key, and it may send")
