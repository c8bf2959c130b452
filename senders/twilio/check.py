"""Whether Twilio takes our credentials: asked of the account, or of a page of messages; it changes nothing."""

from __future__ import annotations

from senders.contract import Checked, OutcomeUnknown
from senders.twilio.transport import KEY, Transport
from warehouse.connections import Connection
from warehouse.errors import Misconfigured


def check(connection: Connection) -> Checked:
    """Raises `Misconfigured` for refused credentials or a closed account, `SendError` without a clear answer."""
    try:
        status, kind = Transport(connection, 1).account() or ("active", "")
    except OutcomeUnknown as error:
        if error.code != KEY:
            raise
        return Checked(error.detail, is_warning=True)
    if status != "active":
        raise Misconfigured(
            f"Twilio takes the credentials of {connection.conn_id!r}, and the account is {status}: Twilio says why."
        )
    if kind == "Trial":
        return Checked("Twilio takes the credentials of a trial account, which texts verified numbers alone", True)
    return Checked("Twilio takes the credentials")
