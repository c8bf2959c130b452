"""What a stranger may cost: connections, bytes of head and body, seconds for them, calls a second, room on the disk."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from starlette.requests import Request

from warehouse.errors import Misconfigured

LARGEST_BODY = 5 * 1024 * 1024
KEPT_OF_REFUSED = 64 * 1024
"""Of a call that is refused only this much is kept: strangers must not fill the disk."""
LITTLE_OF_REFUSED = 256
"""And only this much, beside the body's hash, once the day's `ROOM_FOR_REFUSED` is used up."""
ROOM_FOR_REFUSED = 64 * 1024 * 1024
"""Bytes of refused calls that are kept a day: bodies, headers, and `ROW_COSTS` for each."""
ROW_COSTS = 400
"""Bytes that a call takes on the disk when it is empty: its row, hash, reason and places in the indexes."""
SMALL_BODY = 64 * 1024
"""What people, browsers and Twilio send."""
KEPT_BY_LINK = 512
"""Of a body that came by a link no more than this is kept: any recipient holds one."""
LINK_AT_ONCE = 20
"""So many calls by a message's links are kept in a row, and `LINK_PER_SECOND` for long, whatever they say."""
LINK_PER_SECOND = 1 / 60
REPEATED_WITHIN = 30
"""Seconds in which the same again is nothing new, once a link's bucket is empty."""
SAMPLED_AT_ONCE, SAMPLED_SECONDS = 1000, 10
"""Once the day's room is used up, so many refused calls are kept at once, and then one in so many seconds."""
ROOM_FOR_LARGE = 64 * 1024 * 1024
"""Bytes of bodies larger than `SMALL_BODY` that may be in memory at once. Small ones always have room."""
LARGEST_HEAD = 32 * 1024
"""Bytes of a request's address and headers. SendGrid's and Twilio's take less than 2 KB."""
HEADER_COSTS = 32
"""Each header counts as so many bytes beside its own: thousands of tiny ones take memory, too."""
KEPT_OF_A_HEADER = 200
"""Bytes of each header that is kept; signatures take about a hundred."""
KEPT_OF_A_URL = 500
"""Of the address that Twilio called, whose query holds our id."""
SECONDS_TO_SEND = 30
CONNECTIONS_PER_ADDRESS = 64
"""At once; SendGrid and Twilio post from many."""
REFUSAL_COSTS = 20
"""A refused call counts as so many: whoever sends garbage is throttled first."""


class OversizedError(Exception):
    """The body is larger than allowed. Carries what was read of it."""

    def __init__(self, read: bytes) -> None:
        super().__init__("oversized")
        self.read = read


class BusyError(Exception):
    """There is no room for another large body now."""


class Room:
    """Counts the bytes of large bodies from the first one read until the call is answered. For one event loop."""

    def __init__(self, size: int = ROOM_FOR_LARGE) -> None:
        self._free = size

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """What is called with the number of bytes read so far; it raises `BusyError` when the room is used up."""
        taken = 0

        def take(read: int) -> None:
            nonlocal taken
            if read > SMALL_BODY:
                if read - taken > self._free:
                    raise BusyError
                self._free, taken = self._free - (read - taken), read

        try:
            yield take
        finally:
            self._free += taken


async def read(request: Request, largest: int = LARGEST_BODY, take: Callable[[int], None] = lambda read: None) -> bytes:
    """The body.

    Raises `OversizedError` before reading everything, `TimeoutError` when it comes too slowly, and what `take` raises.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > largest:
        raise OversizedError(b"")
    parts = bytearray()
    async with asyncio.timeout(SECONDS_TO_SEND):
        async for part in request.stream():
            parts += part
            if len(parts) > largest:
                raise OversizedError(bytes(parts[:KEPT_OF_REFUSED]))
            take(len(parts))
    return bytes(parts)


class Allowance:
    """So many bytes a day (UTC)."""

    def __init__(self, size: int = ROOM_FOR_REFUSED) -> None:
        self._size, self._left, self._day = size, size, date.min
        self._lock = threading.Lock()

    def take(self, wanted: int, day: date) -> bool:
        """Whether the day still has so much; takes it then."""
        with self._lock:
            if day != self._day:
                self._day, self._left = day, self._size
            if wanted > self._left:
                return False
            self._left -= wanted
            return True


class Sample:
    """Which of too many are kept: some at once, then one in so many seconds. The others are counted."""

    def __init__(self, at_once: int = SAMPLED_AT_ONCE, seconds: float = SAMPLED_SECONDS) -> None:
        self._throttle = Throttle(1 / seconds, at_once=at_once)
        self._passed_over = 0
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """How many were passed over since the last that was kept; None: pass over this one, too."""
        kept = self._throttle.take("")
        with self._lock:
            passed_over, self._passed_over = self._passed_over, 0 if kept else self._passed_over + 1
        return passed_over if kept else None


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
    """A bucket for each caller: `rate` calls a second, and ten seconds' worth at once unless told otherwise."""

    def __init__(self, rate: float, callers: int = 10_000, *, at_once: float | None = None) -> None:
        self._rate, self._size, self._callers = rate, at_once or rate * 10, callers
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
