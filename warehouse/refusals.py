"""What PostgreSQL refused and no verb expected, in words a person can act on."""

from __future__ import annotations

import psycopg

from warehouse.errors import TryLater, WinbackError

PASSING = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE that may be over soon: a lost connection, a deadlock, no room, a lock, a shutdown."""
WITHOUT_VALUES = (*PASSING, "0A", "42", "58")
"""Classes whose messages name tables, columns and types. Those of others repeat what stands in a row: an address."""


def refused(error: psycopg.Error) -> WinbackError:
    """The error as a person reads it; `TryLater` where the same call may do later. No value of a row is in it."""
    told, state = error.diag, error.sqlstate or ""
    unanswered = not state and isinstance(error, psycopg.OperationalError)
    shown = unanswered or state[:2] in WITHOUT_VALUES
    said = " ".join((told.message_primary or str(error)).split()) if shown else "the message may hold a row's values"
    place = ".".join(filter(None, (told.schema_name, told.table_name, told.column_name)))
    words = (
        f"The warehouse refused a statement ({type(error).__name__}{f', SQLSTATE {state}' if state else ''}): {said}."
        + (f" It was about {place}." if place else "")
        + (f" The rule is {told.constraint_name}." if told.constraint_name else "")
        + "\nIts transaction was rolled back: nothing of it was kept, and nothing that was there is lost. "
    )
    if unanswered or state[:2] in PASSING:
        return TryLater(f"{words}Try again in a moment; the server's log says why.")
    return WinbackError(
        f"{words}`winback doctor` says what is missing in the warehouse or has another type; the server's log has the "
        "statement."
    )
