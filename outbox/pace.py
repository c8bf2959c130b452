"""How fast a channel may speak: messages per second, shared by all lanes of a process.

The limit is the account's, so it stands on the vendor's connection (extra `messages_per_second`). A lane asks before
it claims: whatever may have changed while it waited is checked after it, and a process that is told to stop does not
finish waiting. At most one second's worth goes at once. A process that serves one shard of several takes its share of
the limit; processes that run side by side without shards (a daily run and the quarter-hourly dispatch) do not know of
each other: give each its part.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """A piece of a channel's time, in monotonic seconds."""

    begin: float
    end: float

    @property
    def wait(self) -> float:
        """Seconds until it begins; 0 when it has."""
        return max(0.0, self.begin - time.monotonic())


class Pace:
    """A channel's limit in one process. Safe for many threads."""

    def __init__(self, per_second: float) -> None:
        self.portion = max(1, int(per_second))
        """How many messages may go at once."""
        self._per_second = per_second
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    def book(self, messages: int) -> Turn:
        """A turn for so many messages, after everything that is booked already."""
        with self._lock:
            begin = max(time.monotonic(), self._free_at)
            self._free_at = begin + messages / self._per_second
            return Turn(begin, self._free_at)

    def give_back(self, turn: Turn, messages: int) -> None:
        """Frees what was booked and not used, unless somebody has booked behind it: that turn stays where it is."""
        with self._lock:
            if self._free_at == turn.end:
                self._free_at -= messages / self._per_second
