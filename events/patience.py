"""Connections that cost a place and send nothing: cut, and only so many for each address.

uvicorn ends idle connections after an answer, but waits for ever for a first request. Here each has some seconds to
send a complete one. An address that is trusted to forward others' calls (`FORWARDED_ALLOW_IPS`) stands for many.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections import Counter

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from events.limits import CONNECTIONS_PER_ADDRESS, SECONDS_TO_SEND

_OPEN: Counter[str] = Counter()
"""Connections by address, in this process."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to its patience."""

    _timer: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection, unless its address has too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        _OPEN[self._address] += 1
        if _OPEN[self._address] > CONNECTIONS_PER_ADDRESS and not is_trusted(self._address):
            transport.abort()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Frees its place."""
        self._stop_waiting()
        _OPEN[self._address] -= 1
        if not _OPEN[self._address]:
            del _OPEN[self._address]
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A further request on a kept connection has its own time."""
        if self._timer is None:
            self._wait()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The request is there; how long the answer takes is up to us."""
        self._stop_waiting()
        super().on_message_complete()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(SECONDS_TO_SEND, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def is_trusted(address: str) -> bool:
    """Whether `FORWARDED_ALLOW_IPS` (uvicorn's: addresses and networks, or `*`; this machine by default) names it."""
    told = [each.strip() for each in os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").split(",")]
    return "*" in told or any(_is_in(address, each) for each in told if each)


def _is_in(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return address == network
