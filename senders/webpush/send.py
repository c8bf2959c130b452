"""Notifications to browsers: the newest subscription first, the next one where a push service has ended it.

Connection `webpush_default`: password (VAPID private key); extra: `subject` (mailto: or https:, default the campaign's
contact), `connections` (16), `timeout_seconds`, `messages_per_second`, `sandbox` with `sandbox_host`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

from senders import links, render, wire
from senders.contract import UNREACHABLE, WEBPUSH, Message, NotSent, Outcome, OutcomeKind, Rejected, SendError
from senders.webpush.guard import host_of
from senders.webpush.services import PushServices
from senders.webpush.transport import Gone, NotOurKey, Transport
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

LARGEST_PAYLOAD = 3993
"""Bytes: 4096 that every push service takes (RFC 8030, 7.2) less what encryption adds (RFC 8291, 4)."""
DEFAULT_CONNECTIONS, BATCH = 16, 100
NOT_OUR_KEY, LEFT_ALONE = "not_our_key", "asked_to_wait"
CONTACT = re.compile(r"mailto:[^@\s]+@[^@\s]+|https://[^\s/]\S*")
"""An e-mail address or a page (RFC 8292, 2.1), as campaign files may have it."""
LONGEST_SEARCH_SECONDS = 60.0
"""For so long another subscription of the same person is asked: however many slow ones there are, others wait."""


Shared = PushServices
"""What the senders of one process have in common: the registry makes one and hands it to each."""


def build(connection: Connection, definition: Mapping[str, Any], shared: PushServices) -> WebPushSender:
    """The sender of one campaign. Raises `Misconfigured` for a missing key or contact."""
    contact = connection.extra.get("subject") or (definition.get("webpush") or {}).get("contact")
    if not CONTACT.fullmatch(str(contact or "")):
        raise Misconfigured(
            f"Campaign {definition.get('campaign')!r} has no webpush.contact (mailto:me@shop.example or https://...), "
            f'nor {connection.conn_id!r} one as its extra "subject": push services want to know whom to write to. '
            "Nothing was claimed or sent."
        )
    connections = wire.whole_number(connection, "connections", DEFAULT_CONNECTIONS, 256)
    return WebPushSender(Transport(connection, str(contact), connections), shared, connections)


def topic(message: Message) -> str:
    """Of several undelivered notifications with one topic the newest stays (RFC 8030, 5.4): 32 base64url characters."""
    digest = hashlib.sha256(f"{message.campaign}/{message.step}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()


class WebPushSender:
    """One campaign's notifications."""

    channel = WEBPUSH
    batch_size = BATCH
    unreachable_after = 2  # the browser names the host: a single one that is gone is that browser's

    def __init__(self, transport: Transport, services: PushServices, connections: int = DEFAULT_CONNECTIONS) -> None:
        self._transport = transport
        self._services = services
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="webpush")

    def send(self, messages: Sequence[Message]) -> Mapping[UUID, Outcome]:
        """Hands over up to `batch_size` notifications, one outcome each. Raises `Misconfigured` when none has left."""
        outcomes = wire.in_parallel(self._pool, messages, self._send_one, pause=False)
        return self._judge_key(messages, outcomes)

    def _judge_key(self, messages: Sequence[Message], outcomes: dict[UUID, Outcome]) -> dict[UUID, Outcome]:
        """Whose fault a refused key is (401, 403: RFC 8292, 4.2). Ours, where it is refused for several people and no
        push service has taken it: nobody is rejected for it. Otherwise those subscriptions were made with another
        key, and the next channel has its turn: one person must not stand in everybody's way."""
        refused = {message_id for message_id, outcome in outcomes.items() if outcome.error_code == NOT_OUR_KEY}
        is_ours = self._services.is_key_ours_to_mend(
            is_taken=any(outcome.kind is OutcomeKind.ACCEPTED for outcome in outcomes.values()),
            refused_for=[each.recipient.subscriptions[0].endpoint for each in messages if each.message_id in refused],
        )
        if not (refused and is_ours):
            return outcomes
        failure = Misconfigured(
            "Push services refuse our VAPID key for everybody tried. Check the password of webpush_default "
            "against the key with which the shop's pages subscribe browsers. Nobody else is rejected for it."
        )
        ours = wire.MISCONFIGURED
        spared = {
            message_id: replace(outcomes[message_id], kind=ours.kind, error_code=ours.error_code, detail=ours.detail)
            for message_id in refused
        }
        return wire.settle(outcomes | spared, failure)

    def _send_one(self, message: Message) -> Outcome:
        data = _data(message)
        gone: list[str] = []
        last: SendError = Rejected("The contact has no push subscription.", code="no_address")
        headers = {"Topic": topic(message), "Urgency": "normal"}
        until = monotonic() + LONGEST_SEARCH_SECONDS
        for number, subscription in enumerate(message.recipient.subscriptions):
            if number and monotonic() > until:
                last = NotSent("The person's other push services answer too slowly.", code=UNREACHABLE)
                break
            try:
                host = host_of(subscription.endpoint)
                self._leave_alone(host, message.now)
                ttl = int(wire.time_left(message).total_seconds())
                place = self._transport.post(subscription, data, headers, ttl)
            except Rejected as error:
                if isinstance(error, Gone):
                    gone.append(subscription.endpoint)
                last = _weightier(last, _of_another_key(error) if isinstance(error, NotOurKey) else error)
            except SendError as error:
                if error.code == UNREACHABLE:
                    last = error
                    continue
                outcome = error.outcome()
                if outcome.retry_after and error.code != LEFT_ALONE:
                    self._services.leave_alone(host, message.now + outcome.retry_after)
                return replace(outcome, gone_endpoints=tuple(gone))
            else:
                return Outcome(OutcomeKind.ACCEPTED, provider_message_id=_short(place), gone_endpoints=tuple(gone))
        return replace(last.outcome(), gone_endpoints=tuple(gone))

    def _leave_alone(self, host: str, now: datetime) -> None:
        """Raises `NotSent` as long as this push service wants to hear nothing."""
        wait = self._services.wait(host, now)
        if wait:
            raise NotSent("The push service asked us to wait.", wait, code=LEFT_ALONE)


def _weightier(known: SendError, new: SendError) -> SendError:
    """Which of two refusals a person's outcome is, in whatever order their subscriptions were tried: one that may be
    taken another time, before one that may be our key's, before one that is not the subscription's fault, before one
    that is, such as an ended one."""
    return new if _weight(new) >= _weight(known) else known


def _weight(error: SendError) -> int:
    if error.code == UNREACHABLE:
        return 3
    if error.code == NOT_OUR_KEY:
        return 2
    return 0 if isinstance(error, Gone) or error.outcome().blames_address else 1


def _of_another_key(error: NotOurKey) -> Rejected:
    return Rejected(error.detail, code=NOT_OUR_KEY, is_address_fault=True)


def _data(message: Message) -> str:
    push = message.template.push
    if push is None:
        raise Rejected(f"Template {message.template.template_hash[:12]} has no notification.", code="template")
    filled = {
        name: render.render_text(getattr(push, name), message.fields) for name in ("title", "body", "url", "icon")
    }
    filled["message_id"] = str(message.message_id)
    filled["events_url"] = links.push_events_url(message.message_id)
    data = json.dumps(filled, ensure_ascii=False, separators=(",", ":"))
    if len(data.encode()) > LARGEST_PAYLOAD:
        raise Rejected(
            f"The notification has {len(data.encode())} bytes; push services take {LARGEST_PAYLOAD}.", code="too_long"
        )
    return data


def _short(place: str | None) -> str | None:
    """A message's URL is a capability to read and cancel it (RFC 8030, 8.3): only its hash is kept."""
    return hashlib.sha256(place.encode()).hexdigest()[:32] if place else None
