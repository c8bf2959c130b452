"""The webhook service inside a test, and providers that sign as the real ones do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from events.patience import PatientProtocol

PUBLIC = "https://events.example.com"
TOKEN = "token-of-twilio"
SIGNER = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
PUBLIC_KEY = base64.b64encode(
    SIGNER.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
MESSAGE = uuid.UUID("018f3c1e-7a2b-4c3d-8e4f-5a6b7c8d9e0f")

CONNECTIONS: Mapping[str, Any] = {
    "AIRFLOW_CONN_SENDGRID_DEFAULT": {"password": "SG.key", "extra": {"webhook_public_key": PUBLIC_KEY}},
    "AIRFLOW_CONN_TWILIO_DEFAULT": {
        "login": "AC" + "0" * 32,
        "password": TOKEN,
        "extra": {"webhook_url": f"{PUBLIC}/events/twilio"},
    },
}

DELIVERIES = "select event_key, message_id, kind from events.delivery_event order by event_key"
CALLS = "select provider, verdict, reason, headers, body from events.webhook_call order by received_at"
PREFERENCES = "select channel, kind, source, message_id from events.preference order by received_at, channel"

# Of Twilio: where it reports, and what it says there.
CALLBACK = f"/events/twilio?message_id={MESSAGE}"
SID = "SM" + "a" * 32
DELIVERED = {"MessageSid": SID, "MessageStatus": "delivered", "To": "+12025550101", "From": "+15005550006"}
STOP = {"MessageSid": SID, "SmsStatus": "received", "Body": "STOP", "From": "+12025550101", "To": "+15005550006"}


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """The application behind a real server on a free port, and a client of it, until the block ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, http=PatientProtocol, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.005)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def item(event: str, key: str, **more: Any) -> dict[str, Any]:
    """One of SendGrid's events."""
    known = {"email": "ann@example.com", "timestamp": 1513299569, "sg_event_id": key, "message_id": str(MESSAGE)}
    return {**known, "event": event, **more}


def sendgrid(
    client: httpx.Client,
    items: Sequence[Any] | bytes,
    *,
    key: ec.EllipticCurvePrivateKey = SIGNER,
    age: float = 0,
    headers: Mapping[str, str] | None = None,
) -> int:
    """Posts as SendGrid's signed event webhook does; the status it gets."""
    body = items if isinstance(items, bytes) else json.dumps(items).encode()
    timestamp = str(int(time.time() - age))
    signature = base64.b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    signed = {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Signature": signature,
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }
    return client.post("/events/sendgrid", content=body, headers={**signed, **(headers or {})}).status_code


def twilio(
    client: httpx.Client,
    path: str,
    form: Mapping[str, str],
    *,
    token: str = TOKEN,
    headers: Mapping[str, str] | None = None,
    told: str | None = None,
) -> Any:
    """Posts as Twilio does, signed for the public address, or the one that it was `told`; the answer."""
    text = (told or f"{PUBLIC}{path}") + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    sent = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature, **(headers or {})}
    return client.post(path, content=urlencode(form), headers=sent)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """What the owner of the database sees."""
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def verdicts(url: str) -> list[str]:
    """What became of each call, in their order."""
    return [row[1] for row in rows(url, CALLS)]
