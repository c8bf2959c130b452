"""Messages in doubt, looked up where a provider keeps a record of what it accepted.

Only what is found counts, and it is kept as evidence on the attempt: a message that a log does not have stays in doubt
and is never sent again for it. Twilio's message list proves nothing: it gives back neither the status callback, which
carries our id, nor any other field of ours (Messages resource), and two texts may have the same number, words and
minute. There, callbacks settle it (`outcomes.reconcile`), or a named person with `winback release`. Push services keep
no record that one could read.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg

from outbox.sql import queries
from senders.contract import Evidence, SendError

LOOKUPS = 3
"""Messages looked up in one pass: two requests each, and SendGrid allows six a minute. Chance says which, so that those
which are never found do not stand in the way of the others."""
MEMORY = timedelta(days=30)
"""How far back a log is asked: what SendGrid's add-on keeps."""

Log = Callable[[uuid.UUID], Evidence | None]
"""Our message id -> what the provider has of it."""


def by_log(connection: psycopg.Connection, channel: str, log: Log, *, clock: datetime) -> int:
    """Looks up a few of a channel's messages in doubt; those that the log has become accepted. Returns how many.

    Commits each. Ends early when the provider does not answer: there is a next pass. Raises `Misconfigured`.
    """
    settled = 0
    for row in list(queries.doubtful(connection, channel=channel, since=clock - MEMORY, size=LOOKUPS)):
        try:
            found = log(row["message_id"])
        except SendError:
            break
        if found is not None:
            settled += _accept(connection, row["message_id"], row["attempt_no"], channel, found, clock=clock)
    return settled


def _accept(
    connection: psycopg.Connection,
    message_id: uuid.UUID,
    attempt_no: int,
    channel: str,
    found: Evidence,
    *,
    clock: datetime,
) -> bool:
    with connection.transaction():
        row = queries.message_in_doubt(connection, message_id=message_id)
        if row["state"] != "in_doubt" or (row["outcome"], row["attempt_no"]) != ("unknown", attempt_no):
            return False  # settled meanwhile, by a callback or a person
        told = {
            "source": "provider log",
            "provider_message_id": found.provider_message_id,
            "status": found.status,
            "at": clock.isoformat(),
        }
        queries.settle_attempt(
            connection, message_id=message_id, attempt_no=attempt_no, outcome="accepted", evidence=json.dumps(told)
        )
        at = max(row["opened_at"], found.accepted_at or clock)
        moved = queries.settle_message(connection, message_id=message_id, state="accepted", channel=channel, clock=at)
        if moved["tag"]:
            queries.add_tag(connection, contact_id=moved["contact_id"], tag=moved["tag"], at=at, caused_by=message_id)
    return True
