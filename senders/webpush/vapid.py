"""Who we are, told to push services: a signed token for each of them, used again until it is half spent (RFC 8292)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from py_vapid import Vapid, VapidException

from warehouse.connections import Connection
from warehouse.errors import Misconfigured

TOKEN_SECONDS = 12 * 3600
"""A token's life; at most 24 hours (RFC 8292, 2)."""
RENEW_AFTER = TOKEN_SECONDS / 2
"""Seconds until it is signed anew: a push service whose clock is hours ahead still takes it."""
MOST_TOKENS = 1000
"""Push services remembered: there are a handful, but a subscription can name any host."""


class Tokens:
    """The `Authorization` header for each push service. Safe for many threads."""

    def __init__(self, key: Vapid, contact: str, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._contact = contact
        self._clock = clock
        """Epoch seconds; real time even on a simulated day, for push services judge by theirs."""
        self._signed: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def authorization(self, origin: str) -> str:
        """The header for a push service (`https://host`, with its port where it has one).

        Raises `VapidException` for what is no origin.
        """
        with self._lock:
            now = self._clock()
            signed_at, header = self._signed.get(origin, (-RENEW_AFTER, ""))
            if not 0 <= now - signed_at < RENEW_AFTER:  # below 0: a clock that was ahead signed for too late
                claims = {"sub": self._contact, "aud": origin, "exp": int(now) + TOKEN_SECONDS}
                header = str(self._key.sign(claims)["Authorization"])
                if len(self._signed) >= MOST_TOKENS:
                    self._signed.clear()
                self._signed[origin] = (now, header)
            return header


def private_key(connection: Connection) -> Vapid:
    """The connection's password as a key. Raises `Misconfigured`."""
    text = connection.password.strip()
    try:
        key = Vapid.from_pem(text.encode()) if text.startswith("-----") else Vapid.from_string(text)
    except (ValueError, TypeError, AttributeError, VapidException):
        raise Misconfigured(
            f"Connection {connection.conn_id!r} needs the VAPID private key as its password (PEM, DER or 32 bytes, "
            "base64url). Nothing was claimed or sent."
        ) from None
    # py_vapid 1.9 takes no https contact with a path, a port or a slash at its end, and RFC 8292 (2.1) any.
    key.conf["no-strict"] = True
    return key
