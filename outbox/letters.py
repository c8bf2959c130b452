"""What a message is completed with only when it leaves: the person's name and the signed links. Stored nowhere."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime

from outbox.claims import Claimed
from senders import links
from senders.contract import Message, Template
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


def complete(
    claimed: Claimed,
    channel: str,
    template: Template,
    step_fields: Mapping[str, str],
    reading: tuple[datetime, float | None],
) -> Message:
    """The message as its sender takes it. `reading`: the run's time and the machine's seconds when it was read."""
    unsubscribe_url = links.unsubscribe_url(claimed.message_id)
    fields = {name: str(value) for name, value in {**step_fields, **claimed.merge_fields}.items() if value is not None}
    fields["first_name"] = claimed.first_name or NAME_FALLBACK
    fields["unsubscribe_url"] = unsubscribe_url
    fields["preferences_url"] = links.preferences_url(claimed.message_id)
    return Message(
        message_id=claimed.message_id,
        channel=channel,
        recipient=claimed.recipient,
        template=template,
        fields=fields,
        campaign=claimed.campaign,
        step=claimed.step,
        deliver_before=claimed.deliver_before,
        clock=reading[0],
        clock_read_at=reading[1],
        unsubscribe_url=unsubscribe_url,
    )
