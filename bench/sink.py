"""`python -m bench.sink PORT`: answers as SendGrid, Twilio and a push service do, after a fixed latency.

A bare sink instead of the sandbox, which judges every field as the providers do: its work would be measured on the
same cores. It takes whatever comes over HTTP/1.1 with keep-alive, and keeps nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import cast

import httptools
import uvloop

LATENCY = 0.05
"""Seconds between a request's last byte and its answer."""


class Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Answers nobody any more."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Where the request goes."""
        self._url = url

    def on_message_complete(self) -> None:
        """A request is there: its answer comes after the latency."""
        self._loop.call_later(LATENCY, self._answer, self._url, self._parser.should_keep_alive())

    def _answer(self, url: bytes, keeps: bool) -> None:
        if self._transport is None:
            return
        status, headers, body = answer(url)
        lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        if not keeps:
            self._transport.close()


def answer(url: bytes) -> tuple[str, list[str], bytes]:
    """Status, headers and body of what the provider behind this path says to a good request."""
    number = uuid.uuid4().hex
    if url.startswith(b"/v3/mail/send"):
        return "202 Accepted", [f"X-Message-Id: {number[:22]}"], b""
    if b"/Messages.json" in url:
        made = {"sid": f"SM{number}", "status": "queued", "error_code": None, "error_message": None}
        return "201 Created", ["Content-Type: application/json"], json.dumps(made).encode()
    return "201 Created", [f"Location: https://push.example.com/m/{number}", "TTL: 3600"], b""


async def serve(port: int) -> None:
    """Serves until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Wire, "127.0.0.1", port, backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
