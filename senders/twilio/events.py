"""Twilio's webhooks: status callbacks of our texts, and texts that people send us (STOP, START).

Both are forms, signed in `X-Twilio-Signature` over the URL as Twilio was told it and the form's fields; neither carries
a time.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, parse_qsl, urlsplit
from uuid import UUID

from twilio.request_validator import RequestValidator, get_signature_algorithm

from senders import wire
from senders.contract import (
    SMS,
    AddressFault,
    DeliveryEvent,
    DeliveryKind,
    Event,
    Preference,
    Unreadable,
    Verdict,
    WebhookCall,
)
from senders.twilio.address import addresses, webhook_url
from warehouse.connections import Connection

__all__ = ["CONNECTION", "EMPTY_TWIML", "PROVIDER", "addresses", "is_ready", "parse", "verify", "webhook_url"]

PROVIDER = "twilio"
CONNECTION = "twilio_default"
SIGNATURE, ALGORITHM = "x-twilio-signature", "x-twilio-webhooks-signature-settings"

DELIVERIES = {
    "accepted": DeliveryKind.ACCEPTED,
    "scheduled": DeliveryKind.ACCEPTED,
    "queued": DeliveryKind.ACCEPTED,
    "sending": DeliveryKind.ACCEPTED,
    "sent": DeliveryKind.ACCEPTED,
    "partially_delivered": DeliveryKind.ACCEPTED,  # to some of several recipients: ours is one
    "delivered": DeliveryKind.DELIVERED,
    "read": DeliveryKind.DELIVERED,
    "undelivered": DeliveryKind.FAILED,
    "failed": DeliveryKind.FAILED,
    "canceled": DeliveryKind.DROPPED,
}
FAULTS = {
    "21610": AddressFault.STOPPED,
    "21211": AddressFault.INVALID,
    "21614": AddressFault.INVALID,
    "30005": AddressFault.INVALID,  # unknown or no longer in service
    "30006": AddressFault.INVALID,  # a landline, or a carrier that takes no texts
    "30003": AddressFault.SOFT,  # switched off or out of reach
    "30004": AddressFault.SOFT,  # blocked on the handset's side; Twilio does not say by whom
}
"""What an error code of a callback says of the number (https://www.twilio.com/docs/api/errors). Others
speak of the text (30007 filtered), the account (30002), the queue (30001) or of nothing (30008 unknown)."""
SID, STATUS = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}"), re.compile(r"[A-Za-z_-]{1,40}")
"""What both look like, new ones included: they become a key, and an index takes none of any length."""
MOST_FIELDS = 300
"""Of a form: Twilio sends some thirty. A stranger's are counted before they are split, and before any signature is."""
STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"})
START, START_TOLL_FREE = frozenset({"START", "YES", "UNSTOP"}), frozenset({"START", "UNSTOP"})
"""The one word that takes a stop back, by itself: "YES!" may answer somebody else's question."""
TOLL_FREE = re.compile(r"\+18(00|33|44|55|66|77|88)[0-9]{7}")
EMPTY_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
"""Says nothing back: Twilio itself answers STOP, START and HELP."""


def is_ready(connection: Connection | None) -> bool:
    """Whether calls can be verified at all: the signature is made with the account's token."""
    return bool(connection and _secret(connection))


def verify(call: WebhookCall, connection: Connection | None) -> Verdict:
    """What the call is worth: signed with our token (or extra `webhook_secret`) for exactly this URL and form."""
    if connection is None or not is_ready(connection):
        return Verdict.UNVERIFIABLE
    signature = call.headers.get(SIGNATURE, "")
    if not signature:
        return Verdict.UNSIGNED
    algorithm = get_signature_algorithm(call.headers.get(ALGORITHM))
    try:
        fields = _fields(call)
    except Unreadable:
        return Verdict.MALFORMED
    genuine = RequestValidator(_secret(connection)).validate(call.url, fields, signature, algorithm)
    return Verdict.VERIFIED if genuine else Verdict.WRONG_SIGNATURE


def _secret(connection: Connection) -> str:
    """What Twilio signs with: extra `webhook_secret` or the account's token. An API key's (SK...) signs nothing."""
    is_key = connection.login.startswith("SK")
    return str(connection.extra.get("webhook_secret") or ("" if is_key else connection.password))


def parse(call: WebhookCall) -> list[Event]:
    """A status, or what a person asked for. A text without a keyword is no event. Raises `Unreadable` without a SID."""
    fields = _fields(call)
    sid = fields.get("MessageSid") or fields.get("SmsSid") or ""
    if not SID.fullmatch(sid):
        raise Unreadable("a form with MessageSid, two letters and 32 digits, was expected")
    status = fields.get("MessageStatus") or fields.get("SmsStatus") or ""
    if status in {"received", "receiving"} or "MessageStatus" not in fields:
        return _asked(call, sid, fields)
    if not STATUS.fullmatch(status):
        raise Unreadable("a status was expected in MessageStatus, one word")
    code = wire.scrub(fields.get("ErrorCode") or "", 60) or None
    kind = DELIVERIES.get(status, DeliveryKind.UNKNOWN)
    return [
        DeliveryEvent(
            event_key=f"{PROVIDER}:{sid}:{status}",
            provider=PROVIDER,
            channel=SMS,
            kind=kind,
            occurred_at=call.occurred_at,
            message_id=_message_id(call.url),
            provider_message_id=sid,
            code=code if code or kind is not DeliveryKind.UNKNOWN else status,
            address_fault=FAULTS.get(code or "") if kind is DeliveryKind.FAILED else None,
        )
    ]


def _asked(call: WebhookCall, sid: str, fields: dict[str, str]) -> list[Event]:
    body = fields.get("Body", "").upper()
    # With Twilio's advanced opt-out the account's own words count, and Twilio says which kind one was.
    told = fields.get("OptOutType", "").upper()
    start = START_TOLL_FREE if TOLL_FREE.fullmatch(fields.get("To", "")) else START
    # A no is heard however it is written; a yes only as Twilio hears it.
    kind = (
        "unsubscribed"
        if "".join(body.split()).strip(".!\"'") in STOP or told == "STOP"
        else "resubscribed"
        if body.strip() in start or told == "START"
        else ""
    )
    if not kind:
        return []
    return [
        Preference(
            event_key=f"{PROVIDER}:{sid}",
            channel=SMS,
            kind=kind,
            source="sms_keyword",
            occurred_at=call.occurred_at,
            address=fields.get("From"),
        )
    ]


def _fields(call: WebhookCall) -> dict[str, str]:
    try:
        text = call.body.decode("utf-8")
        return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MOST_FIELDS))
    except ValueError:
        raise Unreadable("a form was expected") from None


def _message_id(url: str) -> UUID | None:
    try:
        return UUID(parse_qs(urlsplit(url).query).get("message_id", [""])[0])
    except ValueError:
        return None
