"""Connections that cost a place and send nothing, or headers without end: cut, and only so many for each address.

uvicorn ends idle connections after an answer, but waits for ever for a first request, and takes headers of any size.
Here each has some seconds to send a complete one, whose address and headers are not too long. An address that is
trusted to forward others' calls (`FORWARDED_ALLOW_IPS`) stands for many.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections import Counter

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from events.limits import CONNECTIONS_PER_ADDRESS, HEADER_COSTS, LARGEST_HEAD, SECONDS_TO_SEND

_OPEN: Counter[str] = Counter()
"""Connections by address, in this process."""
TOO_LONG = STATUS_LINE[431] + b"content-type: text/plain\r\ncontent-length: 9\r\nconnection: close\r\n\r\nToo long\n"
"""RFC 6585, 5."""


class _TooLongError(Exception):
    """Ends the parser's work on a head."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to its patience."""

    _timer: asyncio.TimerHandle | None = None
    _address = ""
    _head = 0
    """Bytes of this request's address and headers (those after a body included) that the parser handed over."""
    _pending = 0
    """Bytes since it handed over anything: it keeps a header to itself until its end."""

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

    def data_received(self, data: bytes) -> None:
        """Ends a header that does not end."""
        self._pending += len(data)
        super().data_received(data)
        if self._pending > LARGEST_HEAD:
            self._refuse()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header."""
        self._count(len(name) + len(value) + HEADER_COSTS)
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A part of the body, which `limits.read` counts."""
        self._pending = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """What the parser could not go on with, or was not allowed to."""
        if self._head > LARGEST_HEAD:
            self._refuse()
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """A further request on a kept connection has its own time and its own headers."""
        self._head = 0
        if self._timer is None:
            self._wait()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The request is there; how long the answer takes is up to us."""
        self._stop_waiting()
        self._pending = 0
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._pending = 0
        self._head += size
        if self._head > LARGEST_HEAD:
            raise _TooLongError

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle and not self.cycle.response_complete:
            self.transport.abort()  # an answer is on its way: a second one must not get into it
            return
        self.transport.write(TOO_LONG)
        self.transport.close()

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
