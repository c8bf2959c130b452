"""What one process knows of the push services: who wants to be left alone, and whether they take our key.

All senders of the process share it, in whichever lane: a push service that asks one of them to wait asks all of us.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta


class PushServices:
    """Safe for many threads. Its times are the messages' own, so that a simulated day needs no real seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_to_wait: dict[str, datetime] = {}
        self._is_key_good = False
        self._key_refused_by: set[str] = set()

    def leave_alone(self, host: str, until: datetime) -> None:
        """This push service asked to be left alone (RFC 8030, 8.4; RFC 9110, 10.2.3). The longest request counts."""
        with self._lock:
            self._asked_to_wait[host] = max(until, self._asked_to_wait.get(host, until))

    def wait(self, host: str, now: datetime) -> timedelta:
        """For how long it wants to hear nothing; 0: it may be called. The others are none of its business."""
        with self._lock:
            left = self._asked_to_wait.get(host, now) - now
            if left <= timedelta():
                self._asked_to_wait.pop(host, None)
            return max(left, timedelta())

    def is_key_ours_to_mend(self, *, is_taken: bool, refused_for: Iterable[str]) -> bool:
        """Judges our key by a batch and all before it: whether any message was accepted, and the newest endpoints of
        the people for whom the key was refused. True where several were refused and nobody was ever accepted."""
        with self._lock:
            self._is_key_good |= is_taken
            self._key_refused_by.update(refused_for)
            return len(self._key_refused_by) > 1 and not self._is_key_good
