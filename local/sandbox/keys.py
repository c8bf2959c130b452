"""The sandbox's credentials: made once per instance, kept 0600, handed out as Airflow connections."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def b64url(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """The bytes of base64url text, padded or not. Raises `ValueError` when it is not base64url."""
    if any(character in text for character in "+/ \n"):
        raise ValueError("not base64url")
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)


def _new_private() -> str:
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return b64url(number.to_bytes(32, "big"))


def private_key(raw: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 private key from its 32 raw bytes, base64url."""
    return ec.derive_private_key(int.from_bytes(unb64url(raw), "big"), ec.SECP256R1())


def public_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """The 65 bytes of an uncompressed P-256 point."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


@dataclass(frozen=True)
class Keys:
    """One instance's secrets. `repr` shows none of them."""

    sendgrid_key: str = field(
        default_factory=lambda: f"SG.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(32)}", repr=False
    )
    twilio_sid: str = field(default_factory=lambda: "AC" + secrets.token_hex(16))
    twilio_token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    vapid_private: str = field(default_factory=_new_private, repr=False)
    webhook_private: str = field(default_factory=_new_private, repr=False)

    @property
    def webhook_public(self) -> str:
        """SendGrid's verification key as its settings page shows it: base64 of the DER public key."""
        public = private_key(self.webhook_private).public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()

    @property
    def vapid_public(self) -> str:
        """The application server key that the sandbox's subscriptions are bound to, base64url."""
        return b64url(public_point(private_key(self.vapid_private).public_key()))


def load(path: Path) -> Keys:
    """The keys kept in `path`, made there (mode 0600) at the first call."""
    if path.exists():
        return Keys(**json.loads(path.read_text()))
    keys = Keys()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(keys), file)
    return keys


def connections(keys: Keys, url: str, events_url: str | None) -> dict[str, dict[str, object]]:
    """The sandbox as Airflow connections, by id: JSON documents as `AIRFLOW_CONN_<ID>` takes them.

    `url` is the sandbox's base URL, `events_url` that of the webhook service it reports to.
    """
    host = url.removeprefix("http://")
    base = events_url or url
    return {
        "sendgrid_default": {
            "conn_type": "sendgrid",
            "host": f"{url}/sendgrid",
            "password": keys.sendgrid_key,
            "extra": {"sandbox": True, "webhook_public_key": keys.webhook_public, "public_url": base},
        },
        "twilio_default": {
            "conn_type": "twilio",
            "host": f"{url}/twilio",
            "login": keys.twilio_sid,
            "password": keys.twilio_token,
            "extra": {"sandbox": True, "webhook_url": f"{base}/events/twilio"},
        },
        "webpush_default": {
            "conn_type": "webpush",
            "host": "",
            "password": keys.vapid_private,
            "extra": {"sandbox": True, "sandbox_host": host, "subject": "mailto:care@shop.example.com"},
        },
        "alerts": {
            "conn_type": "alerts",
            "extra": {"emails": ["team@example.com"], "from": "alerts@shop.example.com"},
        },
    }
