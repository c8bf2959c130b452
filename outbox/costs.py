"""What texts cost, kept before they are sent: whoever dies during the call leaves at least that behind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import psycopg

from outbox.claims import Claimed
from outbox.sql import queries
from senders.contract import Message, Rejected
from senders.render import render_text
from senders.segments import measure


def keep(connection: psycopg.Connection, messages: Sequence[Message], claimed: Mapping[object, Claimed]) -> None:
    """Writes segments and encoding of texts to their open attempts, and commits. `claimed`: by message id.

    A text that cannot be filled costs nothing: its sender will refuse it.
    """
    costs = []
    for message in messages:
        try:
            cost = measure(render_text(message.template.sms or "", message.fields))
        except Rejected:
            continue
        costs.append(
            {
                "message_id": str(message.message_id),
                "attempt_no": claimed[message.message_id].attempt_no,
                "segments": cost.segments,
                "encoding": cost.encoding,
            }
        )
    queries.keep_costs(connection, costs=json.dumps(costs))
