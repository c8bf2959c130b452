"""SendGrid's signed event webhook: ECDSA over timestamp and raw body, by the key that its settings page shows."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from senders.contract import Verdict, WebhookCall
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

CONNECTION = "sendgrid_default"
SIGNATURE, TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"
OLDEST, NEWEST = timedelta(hours=25), timedelta(minutes=5)
"""SendGrid retries a call for 24 hours; a clock may be off by minutes, never by more."""


def key_of(connection: Connection | None) -> ec.EllipticCurvePublicKey | None:
    """The verification key: extra `webhook_public_key`, base64 as SendGrid's settings show it. None: not configured.

    Raises `Misconfigured` when it is no such key.
    """
    text = str(connection.extra.get("webhook_public_key") or "") if connection else ""
    if not text:
        return None
    try:
        key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Misconfigured(
            f"Connection {CONNECTION!r}: webhook_public_key is not the base64 key of SendGrid's signed event webhook."
        )
    return key


def is_ready(connection: Connection | None) -> bool:
    """Whether calls can be verified at all. Raises `Misconfigured` for a key that is none."""
    return key_of(connection) is not None


def verify(call: WebhookCall, connection: Connection | None) -> Verdict:
    """What the call is worth: signed over its raw bytes by the configured key, not too long ago."""
    key = key_of(connection)
    if key is None:
        return Verdict.UNVERIFIABLE
    signature, timestamp = call.headers.get(SIGNATURE, ""), call.headers.get(TIMESTAMP, "")
    if not signature or not timestamp:
        return Verdict.UNSIGNED
    try:
        key.verify(
            base64.b64decode(signature, validate=True), timestamp.encode() + call.body, ec.ECDSA(hashes.SHA256())
        )
        signed_at = datetime.fromtimestamp(int(timestamp), UTC)
    except (InvalidSignature, binascii.Error, ValueError, OverflowError, OSError):
        return Verdict.WRONG_SIGNATURE
    # A sandbox may sign on its simulated clock; the real SendGrid never does.
    clocks = (call.received_at, call.occurred_at)
    fresh = any(now - OLDEST <= signed_at <= now + NEWEST for now in clocks)
    return Verdict.VERIFIED if fresh else Verdict.STALE
