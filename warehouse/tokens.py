"""Signed tokens for the links that leave the house: unsubscribe, preferences.

A token carries a message id and a purpose, never an address, and is signed (HMAC, `itsdangerous`), so that it can be
neither guessed nor altered. It does not expire: RFC 8058 and common law want an old mail's unsubscribe link to work.
"""

from __future__ import annotations

import os
import uuid

from itsdangerous import BadSignature, URLSafeSerializer

from warehouse import settings
from warehouse.errors import WinbackError


def _serializer(purpose: str) -> URLSafeSerializer:
    key = os.environ.get("WINBACK_TOKEN_KEY") or settings.secret_file(settings.read().local / "secrets" / "token.key")
    return URLSafeSerializer(key, salt=f"winback.{purpose}")


def sign(purpose: str, message_id: uuid.UUID) -> str:
    """The URL-safe token of one message for one purpose (`unsubscribe`, `preferences`)."""
    token = _serializer(purpose).dumps(message_id.hex)
    return token.decode() if isinstance(token, bytes) else token


def read(purpose: str, token: str) -> uuid.UUID:
    """The message id a token was signed for. Raises `WinbackError` when it was altered or signed for something else."""
    try:
        return uuid.UUID(_serializer(purpose).loads(token))
    except (BadSignature, ValueError, TypeError, AttributeError) as error:
        raise WinbackError("This link is not one of ours, or it was altered.") from error
