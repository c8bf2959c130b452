"""What a message is completed with only when it leaves: the person's name and the signed links. Stored nowhere."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from outbox.claims import Claimed
from senders import links
from senders.contract import Message, NotSent, Template
from warehouse.errors import Misconfigured

NAME_FALLBACK = "there"
_NOBODY = uuid.UUID(int=0)


def check_links() -> None:
    """Makes a link, so that what every message needs is known before one is claimed.

    Raises `Misconfigured` without our public address, or without a key to sign with.
    """
    try:
        links.unsubscribe_url(_NOBODY)
    except OSError as error:
        raise Misconfigured(
            f"Nobody could unsubscribe: WINBACK_TOKEN_KEY is not set, and no key can be kept under WINBACK_LOCAL "
            f"({type(error).__name__}: {error.strerror}). Set the one, or make the other writable. Nothing was claimed "
            "or sent."
        ) from error


@dataclass(frozen=True)
class Departure:
    """What is the same for all messages that leave together."""

    channel: str
    template: Template
    clock: datetime
    """Aware: the run's time."""
    clock_read_at: float | None
    """As in `Message`."""
    why_not: Callable[[], NotSent | None]
    """As in `Message`."""


def complete(claimed: Claimed, step_fields: Mapping[str, str], departure: Departure) -> Message:
    """The message as its sender takes it."""
    unsubscribe_url = links.unsubscribe_url(claimed.message_id)
    fields = {name: str(value) for name, value in {**step_fields, **claimed.merge_fields}.items() if value is not None}
    fields["first_name"] = claimed.first_name or NAME_FALLBACK
    fields["unsubscribe_url"] = unsubscribe_url
    fields["preferences_url"] = links.preferences_url(claimed.message_id)
    return Message(
        message_id=claimed.message_id,
        channel=departure.channel,
        recipient=claimed.recipient,
        template=departure.template,
        fields=fields,
        campaign=claimed.campaign,
        step=claimed.step,
        deliver_before=claimed.deliver_before,
        clock=departure.clock,
        clock_read_at=departure.clock_read_at,
        unsubscribe_url=unsubscribe_url,
        why_not=departure.why_not,
    )
