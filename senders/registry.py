"""Which vendor serves which channel, and the senders built from connections and a campaign's definition."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from senders import wire
from senders.contract import EMAIL, SMS, WEBPUSH, Checked, Evidence, Outcome, Sender, SendError
from warehouse import connections
from warehouse.errors import Misconfigured

VENDORS: Mapping[str, tuple[str, str]] = {
    EMAIL: ("sendgrid", connections.SENDGRID),
    SMS: ("twilio", connections.TWILIO),
    WEBPUSH: ("webpush", connections.WEBPUSH),
}
"""Channel -> the vendor's folder, and the connection it reads."""

_LOG = logging.getLogger(__name__)

Notifier = Callable[[str, str, str], Outcome]
"""Title, body and the notice's id -> what happened to it."""


class Senders:
    """The senders of one process, for all its lanes: what one of them learns of its provider, the others know.

    A vendor whose `send` module has a `Shared` gets one such object for all of its senders. With `asks_first` a
    provider is asked once about our credentials before anything is claimed for it. Safe for many threads.
    """

    def __init__(self, *, asks_first: bool = False) -> None:
        self._shared: dict[str, Any] = {}
        self._asks_first = asks_first
        self._refusals: dict[str, Misconfigured | None] = {}
        """Channel -> why its provider does not take our credentials; None: it does, or gave no clear answer."""
        self._lock = threading.Lock()

    def __call__(self, channel: str, definition: Mapping[str, Any]) -> Sender:
        """The sender of one campaign's channel, from its definition document and the vendor's connection.

        Raises `Misconfigured`: nothing may be claimed for a channel whose sender cannot be built.
        """
        if channel not in VENDORS:
            raise Misconfigured(f"No sender serves the channel {channel!r}; there are {', '.join(VENDORS)}.")
        sender = self.build(*VENDORS[channel], definition)
        if self._asks_first:
            self._ask(channel)
        return sender

    def _ask(self, channel: str) -> None:
        with self._lock:
            if channel not in self._refusals:
                self._refusals[channel] = None
                try:
                    check(channel)
                except SendError as unclear:
                    _LOG.info("%s gave no clear answer about our credentials (%s).", channel, unclear.code)
                except Misconfigured as error:
                    self._refusals[channel] = error
            refusal = self._refusals[channel]
        if refusal is not None:
            raise Misconfigured(f"{refusal} Nothing was claimed or sent.")

    def build(self, vendor: str, conn_id: str, definition: Mapping[str, Any]) -> Sender:
        """A vendor's sender, whether or not it serves its channel. Raises `Misconfigured`."""
        module = importlib.import_module(f"senders.{vendor}.send")
        shared = getattr(module, "Shared", None)
        known = () if shared is None else (self._shared.setdefault(vendor, shared()),)
        sender: Sender = module.build(connections.get(conn_id), definition, *known)
        return sender


def sender_for(channel: str, definition: Mapping[str, Any]) -> Sender:
    """A sender by itself, which shares nothing with others. Raises `Misconfigured`."""
    return Senders()(channel, definition)


def build(vendor: str, conn_id: str, definition: Mapping[str, Any]) -> Sender:
    """A vendor's sender by itself, whether or not it serves its channel. Raises `Misconfigured`."""
    return Senders().build(vendor, conn_id, definition)


def messages_per_second(channel: str) -> float | None:
    """The limit of a channel's account: its connection's extra `messages_per_second`; None: as fast as it goes.

    Raises `Misconfigured` when it is no number above 0.
    """
    connection = connections.find(VENDORS[channel][1]) if channel in VENDORS else None
    if connection is None or connection.extra.get("messages_per_second") is None:
        return None
    return wire.positive(connection, "messages_per_second", 1.0)


def check(channel: str) -> Checked:
    """Asks the channel's provider about our credentials, by a call that changes and sends nothing.

    Raises `Misconfigured` for credentials that are missing or refused, `SendError` where no answer can be trusted.
    """
    vendor, conn_id = VENDORS[channel]
    module = importlib.import_module(f"senders.{vendor}.check")
    checked: Checked = module.check(connections.get(conn_id))
    return checked


def log_of(channel: str) -> Callable[[UUID], Evidence | None] | None:
    """What looks a message up in the provider's own log; None where there is none that proves acceptance.

    SendGrid's, where the connection's extra says `"email_activity": true`. Raises `Misconfigured`.
    """
    from senders.sendgrid import activity
    from senders.sendgrid.transport import Transport

    connection = connections.find(connections.SENDGRID) if channel == EMAIL else None
    if connection is None or connection.extra.get("email_activity") is not True:
        return None
    transport = Transport(connection)
    return lambda message_id: activity.find(transport, message_id)


def all_sandboxed() -> bool:
    """Whether every vendor's connection is a sandbox, so that a simulated clock is allowed.

    Raises `Misconfigured` for a missing connection, and for a sandbox's mark on a provider's own host.
    """
    found = [connections.get(conn_id) for conn_id in connections.SENDERS]
    for connection in found:
        if connection.sandbox and connection.conn_id != connections.WEBPUSH:
            wire.base_url(connection, default="")
    return all(connection.sandbox for connection in found)


def notifier() -> Notifier:
    """Alert e-mails to the team: connection `alerts` (extra `emails`, `from`), sent through `sendgrid_default`.

    Raises `Misconfigured` when either is missing or says too little.
    """
    from senders.sendgrid.send import send_notice
    from senders.sendgrid.transport import Transport

    alerts = connections.get(connections.ALERTS)
    emails, sender = alerts.extra.get("emails") or [], alerts.extra.get("from")
    listed = (str(each).strip() for each in (emails.split(",") if isinstance(emails, str) else emails))
    emails = list({each.lower(): each for each in listed if each}.values())  # SendGrid takes none twice, and none empty
    if not emails or not sender:
        raise Misconfigured(
            f'Connection {connections.ALERTS!r} needs an extra with "emails" (who is told) and "from" (a sender that '
            "SendGrid knows). No alert was sent."
        )
    sender = sender if isinstance(sender, dict) else {"email": str(sender), "name": "Winback"}
    transport = Transport(connections.get(connections.SENDGRID))

    def notify(title: str, body: str, notice_id: str) -> Outcome:
        return send_notice(transport, sender, emails, title=title, body=body, notice_id=notice_id)

    return notify
