"""SendGrid's Email Activity as evidence: what it lists under our id was accepted.

A paid add-on of the account ("Email Activity", API reference): extra `"email_activity": true` of the connection says
that there is one, and that the key may read it. A message is found by our id among its custom arguments, and believed
only when the record itself repeats that id. What is not found proves nothing: the feed is late, and keeps no message
for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from senders.contract import Evidence, OutcomeUnknown
from senders.sendgrid.transport import Transport


def find(transport: Transport, message_id: UUID) -> Evidence | None:
    """What SendGrid has of this message; None: nothing (yet). Two requests at most, of six that it allows a minute.

    Raises `SendError` where nothing can be learnt now, `Misconfigured` where the key may not read it.
    """
    query = f"(unique_args['message_id']=\"{message_id}\")"
    for listed in _mapping(transport.read("messages", limit="2", query=query)).get("messages") or []:
        provider_id = str(_mapping(listed).get("msg_id") or "")
        if not provider_id:
            continue
        record = _mapping(transport.read("messages", provider_id))
        if _arguments(record).get("message_id") == str(message_id):
            return Evidence(provider_id, str(record.get("status")), _first_event(record))
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise OutcomeUnknown("SendGrid's Email Activity is not what it documents.", code="nonsense")
    return value


def _arguments(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The documentation shows a JSON text; an object is read as well."""
    given = record.get("unique_args")
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _first_event(record: Mapping[str, Any]) -> datetime | None:
    times = [
        str(event["processed"])
        for event in record.get("events") or []
        if isinstance(event, dict) and "processed" in event
    ]
    try:
        return min((datetime.fromisoformat(text).astimezone(UTC) for text in times), default=None)
    except ValueError:
        return None
