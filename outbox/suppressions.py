"""Suppressions by name: a person who asked on the phone, or a list from another system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import psycopg

from outbox.sql import queries
from warehouse.errors import WinbackError


def suppress(
    connection: psycopg.Connection, contact_id: str, channels: Sequence[str], *, by: str, at: datetime
) -> list[str]:
    """Suppresses the contact's present e-mail address, phone and browsers (`channels`: `email`, `sms`, `webpush`) from
    `at` on; commits.

    Returns the channels that were newly suppressed; one that is suppressed already is left as it is. `by` is kept as
    the source. Raises `WinbackError` for a contact that nobody knows.
    """
    with connection.transaction():
        if not queries.has_recipient(connection, contact_id=contact_id):
            raise WinbackError(f"No contact {contact_id!r} is known to this warehouse. Nothing was suppressed.")
        rows = queries.suppress_contact(
            connection, contact_id=contact_id, channels=list(channels), reason="operator", source=by, at=at
        )
        return sorted({row["channel"] for row in rows})


def stopped(connection: psycopg.Connection, channel: str, addresses: Sequence[str], *, at: datetime) -> set[str]:
    """Those of a channel's addresses that are suppressed at `at`, whoever they belong to.

    E-mail addresses, phones in E.164, or the endpoints of browsers.
    """
    rows = queries.stopped_addresses(connection, channel=channel, addresses=list(addresses), at=at)
    return {row["address"] for row in rows}


COLUMNS = ("channel", "address", "contact_id", "reason", "since", "until")
"""What `suppressed` yields, in this order."""


def suppressed(connection: psycopg.Connection, *, at: datetime) -> Iterator[tuple[Any, ...]]:
    """Every address of a contact that is not to be written to at `at`: rows of `COLUMNS`, by channel and contact.

    E-mail and phones; a browser has no address that another system could use. Read row by row: the caller keeps it in
    a file, and nowhere else.
    """
    with connection.transaction(), connection.cursor("suppressed") as cursor:
        cursor.execute(queries.suppressed_addresses.sql, {"at": at})
        yield from cursor


def without_contact(connection: psycopg.Connection, *, at: datetime) -> int:
    """How many suppressed addresses no contact has any more: they are known by hash alone."""
    return int(queries.suppressed_without_contact(connection, at=at))
