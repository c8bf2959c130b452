"""An end for a whole call: a socket's own timeout is for one `recv`, and an answer can be drawn out over any number of
those. One thread a process cuts the connections of calls whose time is over.
"""

from __future__ import annotations

import math
import os
import socket
import threading
from time import monotonic

LONGEST_SLEEP_SECONDS = 3600.0


class NeverStood(Exception):  # noqa: N818 - a fact; outside of what urllib3 catches, so that it is wrapped in nothing
    """No connection (or no TLS, or no way through the proxy): nothing of the request was written."""


class Call:
    """One request of one thread."""

    __slots__ = ("descriptor", "due", "is_late")

    def __init__(self, due: float) -> None:
        self.due = due
        """When it has to be over, in the seconds of `time.monotonic()`."""
        self.descriptor: int | None = None
        """A second one of its connection's, which no TLS layer and no `close` takes away."""
        self.is_late = False
        """Its connection was cut."""


class Watch:
    """Cuts the connections of calls that are not over in time: one thread for the whole process.

    A socket's own timeout is for one `recv`, and an answer can be drawn out over any number of those.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """From nothing: also in a process that was forked, which has inherited no thread."""
        self._changed = threading.Condition(threading.Lock())
        self._calls: set[Call] = set()
        self._wakes_at = math.inf
        self._is_running = False

    def hold(self, call: Call, sock: socket.socket) -> None:
        """Begins to watch a call's connection. Raises `NeverStood` before anything is written."""
        if call.descriptor is not None:
            return
        try:
            call.descriptor = os.dup(sock.fileno())
            with self._changed:
                if not self._is_running:
                    threading.Thread(target=self._run, name="http-deadlines", daemon=True).start()
                    self._is_running = True
                self._calls.add(call)
                if call.due < self._wakes_at:
                    self._wakes_at = call.due
                    self._changed.notify()
        except (OSError, RuntimeError) as error:  # no descriptor or no thread is left
            raise NeverStood(type(error).__name__) from None

    def let_go(self, call: Call) -> None:
        """Ends it; from now on `is_late` is what it is. Before anybody else may use the connection."""
        if call.descriptor is None:
            return
        with self._changed:
            self._calls.discard(call)
        os.close(call.descriptor)
        call.descriptor = None

    def _run(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                for call in [each for each in self._calls if each.due <= now]:
                    self._calls.discard(call)
                    call.is_late = True
                    _cut(call.descriptor)
                self._wakes_at = min((each.due for each in self._calls), default=math.inf)
                self._changed.wait(min(self._wakes_at - now, LONGEST_SLEEP_SECONDS))


def _cut(descriptor: int | None) -> None:
    """Wakes whoever reads from a connection or writes to it."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is gone already
        return
    finally:
        sock.detach()


class _Own(threading.local):
    call: Call
    """What this thread asks for now."""


watch = Watch()
os.register_at_fork(after_in_child=watch.begin)
this_thread = _Own()
