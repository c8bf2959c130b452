"""What a stranger may cost: bytes of a body, seconds to send it, calls a second."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request

from warehouse.errors import Misconfigured

LARGEST_BODY = 5 * 1024 * 1024
KEPT_OF_REFUSED = 64 * 1024
"""Of a call that is refused only this much is kept: strangers must not fill the disk."""
SECONDS_TO_SEND = 30
REFUSAL_COSTS = 20
"""A refused call counts as so many: whoever sends garbage is throttled first."""


class OversizedError(Exception):
    """The body is larger than allowed. Carries what was read of it."""

    def __init__(self, read: bytes) -> None:
        super().__init__("oversized")
        self.read = read


async def read(request: Request, largest: int = LARGEST_BODY) -> bytes:
    """The body. Raises `OversizedError` before reading everything, `TimeoutError` when it comes too slowly."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > largest:
        raise OversizedError(b"")
    parts = bytearray()
    async with asyncio.timeout(SECONDS_TO_SEND):
        async for part in request.stream():
            parts += part
            if len(parts) > largest:
                raise OversizedError(bytes(parts[:KEPT_OF_REFUSED]))
    return bytes(parts)


def rate() -> float:
    """Calls a second that one caller may make for long: `WINBACK_EVENTS_RATE`, default 500."""
    text = os.environ.get("WINBACK_EVENTS_RATE") or "500"
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if found <= 0:
        raise Misconfigured(
            f"WINBACK_EVENTS_RATE is {text!r}; it is the calls a second that one caller may make, above 0."
        )
    return found


@dataclass
class _Bucket:
    level: float
    filled_at: float


class Throttle:
    """A bucket for each caller: `rate` calls a second, and ten seconds' worth at once."""

    def __init__(self, rate: float, callers: int = 10_000) -> None:
        self._rate, self._size, self._callers = rate, rate * 10, callers
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, cost: float = 1) -> bool:
        """Whether the caller may go on. An empty bucket stays as it is; the oldest callers are forgotten."""
        now = time.monotonic()
        with self._lock:
            bucket = self._buckets.setdefault(caller, _Bucket(self._size, now))
            self._buckets.move_to_end(caller)
            while len(self._buckets) > self._callers:
                self._buckets.popitem(last=False)
            bucket.level = min(self._size, bucket.level + (now - bucket.filled_at) * self._rate)
            bucket.filled_at = now
            if bucket.level < 1:
                return False
            bucket.level = max(bucket.level - cost, 0)
            return True
