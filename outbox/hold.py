"""How long a lane may be sure that what it claimed is still its own: asked directly before each call of a provider.

A process can be frozen between its claim and a call (SIGSTOP, a machine that is suspended). Once its lease is
over, others have put its messages in doubt, and somebody may have had them sent again: nothing of them may leave here.
"""

from __future__ import annotations

import threading
from datetime import timedelta

from outbox import claims
from senders.contract import NotSent
from warehouse.machine import elapsed

STOPPED, LEASE_LOST = "stopped", "lease_lost"
"""The error codes of `not_sent` where it was us, and no provider, that kept a message back."""
SURE = 4 / 5
"""The part of a lease for which it is believed."""


class Hold:
    """A lane's hold on one batch, from `since` (seconds of `elapsed`) on. Safe for many threads."""

    def __init__(self, since: float, stopping: threading.Event) -> None:
        self._since = since
        self._stopping = stopping
        self._lock = threading.Lock()

    def renew(self, since: float) -> None:
        """The lease was extended by a statement that began at `since` and is through. One that may have run out before
        that stays lost: the statement extends what is open, and what was swept meanwhile is not."""
        with self._lock:
            if elapsed() - self._since < _sure():
                self._since = max(self._since, since)

    def why_not(self) -> NotSent | None:
        """Why nothing may be handed over any more: the process is told to stop, or the lease may be over."""
        if self._stopping.is_set():
            return NotSent("The process was told to stop.", timedelta(), code=STOPPED)
        with self._lock:
            is_sure = elapsed() - self._since < _sure()
        return None if is_sure else NotSent("The lease may be over.", timedelta(), code=LEASE_LOST)


def _sure() -> float:
    return claims.LEASE.total_seconds() * SURE
