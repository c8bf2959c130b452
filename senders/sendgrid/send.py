"""E-mail through SendGrid: batches of one template, one address once a request, halved until the bad one is alone.

Connection `sendgrid_default`: host (default https://api.sendgrid.com), password (the API key); extra: `batch_size`
(100, at most 1000: one lost answer puts a whole batch in doubt), `timeout_seconds`, `messages_per_second`, `sandbox`,
`email_activity` (true: the account has that add-on and the key may read it; messages in doubt are looked up there).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any
from uuid import UUID

from senders import links, wire
from senders.contract import EMAIL, Message, Outcome, OutcomeKind, Rejected, SendError, TemplateRefused
from senders.sendgrid import payload
from senders.sendgrid.halving import deliver
from senders.sendgrid.transport import Transport
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

LARGEST_BATCH = 1000
"""Personalizations a request (SendGrid's limit)."""
DEFAULT_BATCH = 100


def build(connection: Connection, definition: Mapping[str, Any]) -> SendGridSender:
    """The sender of one campaign. Raises `Misconfigured` for a missing key, a forbidden base URL, or a way to
    unsubscribe that mail services would not use (RFC 8058, 3.1: https)."""
    sender = SendGridSender(
        Transport(connection),
        settings_of(definition),
        batch_size=wire.whole_number(connection, "batch_size", DEFAULT_BATCH, LARGEST_BATCH),
    )
    if not connection.sandbox and not links.public_url().startswith("https://"):
        raise Misconfigured(
            f"{links.VARIABLE} (or public_url of sendgrid_default) is no https address, and mail services offer no "
            "button to unsubscribe without one. Nothing was claimed or sent."
        )
    return sender


def settings_of(definition: Mapping[str, Any]) -> payload.Settings:
    """The e-mail part of a campaign's definition document. Raises `Misconfigured` naming the missing key."""
    email = definition.get("email") or {}
    missing = [key for key in ("from_address", "from_name", "reply_to") if not email.get(key)]
    if missing:
        raise Misconfigured(
            f"Campaign {definition.get('campaign')!r} has no email.{missing[0]}. Nothing was claimed or sent."
        )
    steps = definition.get("steps") or []
    dynamic = {step["key"]: step["sendgrid_template_id"] for step in steps if step.get("sendgrid_template_id")}
    return payload.Settings(email["from_address"], email["from_name"], email["reply_to"], dynamic)


class SendGridSender:
    """One campaign's e-mail."""

    channel = EMAIL
    unreachable_after = 1

    def __init__(self, transport: Transport, settings: payload.Settings, batch_size: int = DEFAULT_BATCH) -> None:
        self.batch_size = batch_size
        self._transport = transport
        self._settings = settings
        self._taken: set[tuple[str, str, str]] = set()
        """Campaign, step and template of which SendGrid accepted something: a later refusal is not the template's."""
        self._alone: dict[tuple[str, str, str], str] = {}
        """What SendGrid said to the last message of each that went alone and was rejected."""

    def send(self, messages: Sequence[Message]) -> Mapping[UUID, Outcome]:
        """Hands over up to `batch_size` messages, one outcome each. Raises `Misconfigured` when none has left,
        `TemplateRefused` when it is for their template."""
        outcomes = wire.kept_back(messages)
        ready = []
        for message in messages:
            try:
                payload.check(message, self._settings)
            except Rejected as error:
                outcomes[message.message_id] = error.outcome()
            if message.message_id not in outcomes:
                ready.append(message)
        failure: Misconfigured | None = None
        spared: Outcome | None = None
        refused: dict[tuple[str, str, str], Outcome] = {}
        # The largest first: what goes alone is judged by what became of the others.
        for batch in sorted(self._requests(ready), key=len, reverse=True):
            kind = _kind(batch[0])
            held = spared or refused.get(kind)
            if held is not None:
                outcomes |= {message.message_id: held for message in batch}
                continue
            told = deliver(batch, self._post, is_proven=kind in self._taken, suspected=self._alone.get(kind))
            if told.is_taken:
                self._taken.add(kind)
            if told.alone is not None:
                self._alone[kind] = told.alone
            outcomes |= told.outcomes
            failure = told.failure or failure
            if told.spared is not None and isinstance(told.failure, TemplateRefused):
                refused[kind] = told.spared
            else:
                spared = told.spared
        return wire.settle(outcomes, failure)

    def _post(self, batch: Sequence[Message]) -> Outcome:
        provider_id = self._transport.post(payload.build(batch, self._settings))
        return Outcome(OutcomeKind.ACCEPTED, provider_message_id=provider_id)

    def _requests(self, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """Messages that may share a request: one campaign, step and template, no address twice, none too large."""
        for _, group in groupby(sorted(messages, key=_kind), key=_kind):
            waiting = list(group)
            while waiting:
                batch: dict[str, Message] = {}
                later: list[Message] = []
                for message in waiting:
                    address = (message.recipient.email or "").strip().lower()
                    if len(batch) >= self.batch_size or address in batch:
                        later.append(message)
                    elif self._must_go_alone(message):
                        yield [message]
                    else:
                        batch[address] = message
                if batch:
                    yield list(batch.values())
                waiting = later

    def _must_go_alone(self, message: Message) -> bool:
        return message.step not in self._settings.dynamic_templates and payload.is_oversized(message)


def _kind(message: Message) -> tuple[str, str, str]:
    return message.campaign, message.step, message.template.template_hash


def send_notice(
    transport: Transport, sender: Mapping[str, str], to: Sequence[str], *, title: str, body: str, notice_id: str
) -> Outcome:
    """One alert to the team: plain text, no tracking, no consent asked. Raises `Misconfigured`."""
    request = {
        "from": dict(sender),
        "personalizations": [{"to": [{"email": address} for address in to], "custom_args": {"notice_id": notice_id}}],
        "subject": title,
        "content": [{"type": "text/plain", "value": body}],
        "categories": ["alert"],
        "tracking_settings": {"click_tracking": {"enable": False}, "open_tracking": {"enable": False}},
    }
    try:
        return Outcome(OutcomeKind.ACCEPTED, provider_message_id=transport.post(request))
    except SendError as error:
        return replace(error.outcome(), retry_after=getattr(error, "retry_after", None))
