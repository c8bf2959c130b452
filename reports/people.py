"""What `explain` knows of a person beyond the contact asked for: who else they are, what stops them.

That takes a look at addresses, which an analyst may not take: contacts of one person share one, and the stop list knows
addresses by hash alone. It is taken as `winback_dbt`, read-only, and brings back ids and entries: no address leaves
SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

from reports.read import Row, queries
from warehouse.connect import NoSuchRoleError, Role, connect

NEEDED = ["handoff.recipients", "customers.int_same_person", "staging.stg_outbox__suppressions"]
"""The relations of dbt's that are asked."""


@dataclass(frozen=True)
class Known:
    """One person."""

    others: Sequence[str] = ()
    """The other contacts that share an e-mail address or a phone with the one asked for, in their order."""
    stops: Sequence[Row] = ()
    """Entries of the stop list that count for them, oldest first."""
    missing: str | None = None
    """Why nothing is known here, where that is so."""


def find(contact_id: str) -> Known:
    """The person of a contact, as contacts and stop list stand now.

    Raises `WinbackError` where the warehouse gives no second connection: a story without stops would pass for whole.
    """
    try:
        connection = connect(Role.DBT)
    except NoSuchRoleError:
        return Known(
            missing="Other contacts of the same person, and stops of addresses, are not shown: this login may not act "
            f"as {Role.DBT.value}, which looks at addresses."
        )
    with connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        if not _is_built(connection):
            return Known(missing="Other contacts of the same person, and stops of addresses, are shown after a build.")
        connection.row_factory = dict_row  # type: ignore[assignment]
        ask = queries()
        members = [row["contact_id"] for row in ask.same_person(connection, contact_id=contact_id)]
        stops = list(ask.stops(connection, contact_id=contact_id, members=[contact_id, *members]))
    return Known(members, stops)


def _is_built(connection: psycopg.Connection) -> bool:
    query = "select bool_and(to_regclass(name) is not null) from unnest(%s::text[]) as name"
    row = connection.execute(query, [NEEDED]).fetchone()
    return bool(row and row[0])
