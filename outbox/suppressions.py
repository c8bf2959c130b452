"""Suppressions by name: a person who asked on the phone, or a list from another system."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import psycopg

from outbox.sql import queries
from warehouse.errors import WinbackError


def suppress(
    connection: psycopg.Connection, contact_id: str, channels: Sequence[str], *, by: str, at: datetime
) -> list[str]:
    """Suppresses the contact's present e-mail address and phone (`channels`: `email`, `sms`) from `at` on; commits.

    Returns the channels that were newly suppressed; one that is suppressed already is left as it is. `by` is kept as
    the source. Raises `WinbackError` for a contact that nobody knows.
    """
    with connection.transaction():
        if not queries.has_recipient(connection, contact_id=contact_id):
            raise WinbackError(f"No contact {contact_id!r} is known to this warehouse. Nothing was suppressed.")
        rows = queries.suppress_contact(
            connection, contact_id=contact_id, channels=list(channels), reason="operator", source=by, at=at
        )
        return [row["channel"] for row in rows]
