"""Signed tokens for the links that leave the house: unsubscribe, preferences.

A token carries a message id and a purpose, never an address, and is signed (HMAC, `itsdangerous`), so that it can be
neither guessed nor altered. It does not expire: RFC 8058 and common law want an old mail's unsubscribe link to work.
"""

from __future__ import annotations

import os
import uuid
from functools import cache
from pathlib import Path

from itsdangerous import BadSignature, Signer

from warehouse import settings
from warehouse.errors import WinbackError


def _signer(purpose: str) -> Signer:
    return _made(purpose, os.environ.get("WINBACK_TOKEN_KEY") or _kept(os.environ.get("WINBACK_LOCAL")))


@cache
def _made(purpose: str, key: str) -> Signer:
    return Signer(key, salt=f"winback.{purpose}")


@cache
def _kept(local: str | None) -> str:
    """The key of this installation, read once: a dispatch signs several tokens a message."""
    return settings.secret_file(Path(local or settings.read().local) / "secrets" / "token.key")


def sign(purpose: str, message_id: uuid.UUID) -> str:
    """The URL-safe token of one message for one purpose (`unsubscribe`, `preferences`)."""
    return _signer(purpose).sign(message_id.hex).decode()


def read(purpose: str, token: str) -> uuid.UUID:
    """The message id a token was signed for. Raises `WinbackError` when it was altered or signed for something else."""
    try:
        return uuid.UUID(_signer(purpose).unsign(token).decode())
    except (BadSignature, ValueError, TypeError, AttributeError) as error:
        raise WinbackError("This link is not one of ours, or it was altered.") from error
