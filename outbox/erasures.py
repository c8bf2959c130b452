"""Forgetting a person: Regulation (EU) 2016/679 (GDPR), article 17, the right to erasure.

What goes: the values that decisions saw, what filled the templates, the consents of messages that never left, the words
of operators and providers, clicked links, and the headers and bodies of webhooks that name the person.

What stays, and why: contact ids, days, states and codes, so that counts add up and no code is given twice; that a
consent was given, when, where and to which wording, for messages that a provider was called for (article 7 (1): it must
be possible to demonstrate it; 17 (3) (e): claims); keyed hashes of addresses, without which neither that evidence nor
an opt-out is worth anything: whoever has an address can ask about it, and nobody can read it out of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from outbox.sql import queries
from warehouse.connect import GRANT_LOCK
from warehouse.errors import WinbackError


@dataclass(frozen=True)
class Forgotten:
    """What was erased of one contact."""

    contact_id: str
    counts: Mapping[str, int]
    """Kind -> rows, as `outbox.erasure.counts` keeps it; all zero where nothing was left to erase."""
    may_have_left: int
    """Messages that a provider has or may have just now: nothing calls them back."""


def forget(connection: psycopg.Connection, contact_ids: Sequence[str], *, by: str, at: datetime) -> list[Forgotten]:
    """Erases what Winback holds of these contacts, suppresses their addresses for good and writes the audit; commits.

    All of them or none. May be repeated: what has come since is erased, and the request is on record again. `by` names
    who did it, in audit and suppressions; `at` is in the ledger's clock.

    Raises `WinbackError` for a contact that nobody knows, and while a run is being decided: it may have read them, and
    would freeze that afterwards. A run whose lease is over is given up instead. No freezing of messages runs beside
    it, but for the reading of webhooks, which takes long.
    """
    with connection.transaction():
        for contact_id in contact_ids:
            if not queries.is_on_record(connection, contact_id=contact_id):
                raise WinbackError(
                    f"No contact {contact_id!r} is known to this warehouse: neither raw.contacts nor the ledger has "
                    "it. Expected: a contact_id, not an address. Nothing was erased."
                )
    with connection.transaction():
        _end_open_run(connection)
    with connection.transaction():
        calls = {contact_id: _blank_calls(connection, contact_id, by, at) for contact_id in contact_ids}
        queries.take_grant_lock(connection, lock=GRANT_LOCK)
        _end_open_run(connection)
        return [_forget(connection, contact_id, calls[contact_id], by, at) for contact_id in contact_ids]


def _end_open_run(connection: psycopg.Connection) -> None:
    """Refuses while a run is alive; one whose lease is over is abandoned, as the next run would: nobody may enqueue it
    any more."""
    run = queries.open_run_of_anyone(connection)
    if run is None:
        return
    if run["is_alive"]:
        days = ", ".join(f"{day}" for day in run["days"] or [])
        raise WinbackError(
            f"Run {run['run_id']} ({days}, held by {run['holder']!r}) is {run['state']} and not enqueued yet: it may "
            "have read whom you want to forget, and would keep that. Wait until it is enqueued or has failed, or for "
            f"its lease to end ({math.ceil(run['seconds_left'] / 60)} minutes from now if nobody goes on with it), "
            "then run this again. Nothing was erased."
        )
    queries.close_run(connection, run_id=run["run_id"], state="abandoned", detail="its lease ran out")


def _blank_calls(connection: psycopg.Connection, contact_id: str, by: str, at: datetime) -> int:
    hashes = [address_hash for _, address_hash in _addresses(connection, contact_id)]
    return int(queries.erase_calls(connection, contact_id=contact_id, asked_by=by, at=at, hashes=hashes))


def _addresses(connection: psycopg.Connection, contact_id: str) -> list[tuple[str, bytes]]:
    """(channel, keyed hash) of every address that the contact has or had."""
    known = list(queries.known_hashes(connection, contact_id=contact_id))
    history = queries.history_of_consents(connection)
    if history["is_there"] and not history["is_readable"]:
        raise WinbackError(
            "history.consents, which knows a contact's earlier addresses by hash, may not be read by winback_sender: "
            "it was built by an older version. Run `winback build` for any day, then this again. Nothing was erased."
        )
    if history["is_there"]:
        known += queries.past_hashes(connection, contact_id=contact_id)
    return sorted({(row["channel"], bytes(row["address_hash"])) for row in known})


def _forget(connection: psycopg.Connection, contact_id: str, calls: int, by: str, at: datetime) -> Forgotten:
    addresses = _addresses(connection, contact_id)  # again: a claim may have sent to another one meanwhile
    if tried := [row["id"] for row in queries.planned_again(connection, contact_id=contact_id)]:
        list(queries.reconcile_planned(connection, ids=tried, clock=at))
    skipped = [row["id"] for row in queries.skip_planned(connection, contact_id=contact_id, at=at)]
    done = {
        "skipped_messages": len(skipped),
        "released_codes": queries.release_grants(connection, ids=skipped, clock=at),
        "suppressed_addresses": queries.suppress_for_good(
            connection,
            channels=[channel for channel, _ in addresses],
            hashes=[address_hash for _, address_hash in addresses],
            source=by,
            at=at,
        ),
        "removed_tags": queries.take_off_tags(connection, contact_id=contact_id, at=at),
        "webhook_calls": calls,
    }
    counts = queries.erase(connection, contact_id=contact_id, done=json.dumps(done))
    return Forgotten(contact_id, counts, queries.may_have_left(connection, contact_id=contact_id))


def blank_built(connection: psycopg.Connection, contact_ids: Sequence[str]) -> int:
    """Erases in dbt's own tables what they copied from a decision; `connection` acts as `winback_dbt`. Commits.

    Returns how many rows. What rests on the raw tables follows those.
    """
    with connection.transaction():
        if not queries.is_built(connection):
            return 0
        ids = list(contact_ids)
        return int(
            queries.blank_built_decisions(connection, contact_ids=ids)
            + queries.blank_built_requests(connection, contact_ids=ids)
        )
