"""Text messages through Twilio: one request each, several at once; what each costs is computed before it is sent.

Connection `twilio_default`: host (default https://api.twilio.com), login (account SID), password (auth token); extra:
`webhook_url` (where status callbacks go, as Twilio sees it; without it under our public address), `webhook_secret` (the
account's auth token, where login and password are an API key's: Twilio signs callbacks with it),
`messaging_service_sid`, `connections` (16), `timeout_seconds`, `messages_per_second`, `sandbox`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from senders import render, wire
from senders.contract import SMS, AccountRefused, Message, Outcome, OutcomeKind, Rejected, SendError
from senders.segments import measure
from senders.twilio.address import webhook_url
from senders.twilio.transport import FailedAtOnce, Transport
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

LONGEST_VALIDITY = 36_000
"""Seconds that Twilio keeps a message in its queue at most (1 to 36000)."""
SHORTEST_VALIDITY = timedelta(seconds=6)
"""Twilio advises against 5 seconds and less."""
LONGEST_BODY = 1600
"""Characters of a body (error 21617)."""
DEFAULT_CONNECTIONS, BATCH = 16, 100


@dataclass(frozen=True)
class Settings:
    """Where texts come from, and where Twilio tells what became of them."""

    status_callback: str
    from_number: str | None = None
    messaging_service_sid: str | None = None


def build(connection: Connection, definition: Mapping[str, Any]) -> TwilioSender:
    """The sender of one campaign. Raises `Misconfigured` for missing credentials, sender or callback address."""
    number = (definition.get("sms") or {}).get("from_number")
    service = connection.extra.get("messaging_service_sid")
    if not (number or service):
        raise Misconfigured(
            f"Campaign {definition.get('campaign')!r} has no sms.from_number, and connection {connection.conn_id!r} no "
            "messaging_service_sid. Nothing was claimed or sent."
        )
    connections = wire.whole_number(connection, "connections", DEFAULT_CONNECTIONS, 256)
    settings = Settings(webhook_url(connection), number, service)
    return TwilioSender(Transport(connection, connections), settings, connections)


class TwilioSender:
    """One campaign's texts."""

    channel = SMS
    batch_size = BATCH
    unreachable_after = 1

    def __init__(self, transport: Transport, settings: Settings, connections: int = DEFAULT_CONNECTIONS) -> None:
        self._transport = transport
        self._settings = settings
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="twilio")

    def send(self, messages: Sequence[Message]) -> Mapping[UUID, Outcome]:
        """Hands over up to `batch_size` messages, one outcome each. Raises `Misconfigured` when none has left."""
        return wire.in_parallel(self._pool, messages, self._send_one, pause=True)

    def _send_one(self, message: Message) -> Outcome:
        if not message.recipient.phone:
            raise Rejected("The message has no phone number.", code="no_address")
        if not message.template.sms:
            raise Rejected(f"Template {message.template.template_hash[:12]} has no text message.", code="template")
        body = render.render_text(message.template.sms, message.fields)
        cost = measure(body)
        known = Outcome(OutcomeKind.ACCEPTED, segments=cost.segments, encoding=cost.encoding)
        if cost.characters > LONGEST_BODY:
            raise Rejected(f"The text has {cost.characters} characters; Twilio takes {LONGEST_BODY}.", code="too_long")
        arguments = self._arguments(message, wire.time_left(message, SHORTEST_VALIDITY))
        try:
            sid = self._transport.post(body=body, to=message.recipient.phone, **arguments)
        except SendError as error:
            return replace(error.outcome(), segments=cost.segments, encoding=cost.encoding)
        except FailedAtOnce as failed:
            if not isinstance(failed.meaning, SendError):
                raise AccountRefused(str(failed.meaning), {message.message_id: failed.sid}) from None
            meant = failed.meaning.outcome()
            return replace(meant, provider_message_id=failed.sid, segments=cost.segments, encoding=cost.encoding)
        return replace(known, provider_message_id=sid)

    def _arguments(self, message: Message, left: timedelta) -> dict[str, Any]:
        settings = self._settings
        arguments: dict[str, Any] = {
            "status_callback": f"{settings.status_callback}?{urlencode({'message_id': str(message.message_id)})}",
            "validity_period": min(int(left.total_seconds()), LONGEST_VALIDITY),
        }
        if settings.messaging_service_sid:
            arguments["messaging_service_sid"] = settings.messaging_service_sid
        else:
            arguments["from_"] = settings.from_number
        return arguments
