"""A provider's HTTP side for tests: records what it is sent, and answers, hangs, resets or lies as told."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What is answered. `trouble` breaks the answer: `reset` before it, `cut` in its middle, `hang` instead of it,
    `garbled` with a line among its headers that is none."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trouble: str = ""


class Stub:
    """The running stub. `answer` may be replaced at any time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Recorded] = []
        self.connections = 0
        """How many were opened."""
        self.answer: Callable[[Recorded], Reply] = lambda _: Reply(500)
        self.released = threading.Event()
        """Ends every `hang`."""


@contextmanager
def running() -> Iterator[Stub]:
    """A stub on a free loopback port, until the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            with lock:
                stub.connections += 1
            super().setup()

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): text for name, text in self.headers.items()}
            recorded = Recorded(self.command, self.path, headers, body)
            with lock:
                stub.requests.append(recorded)
                reply = stub.answer(recorded)
            if reply.trouble == "hang":
                stub.released.wait(20)
            if reply.trouble in {"hang", "reset"}:
                self._reset()
                return
            self.send_response(reply.status)
            for name, text in reply.headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(reply.body) + (100 if reply.trouble == "cut" else 0)))
            if reply.trouble == "garbled":
                self.send_header("X-Odd", "1\r\nno header at all")
            self.end_headers()
            self.wfile.write(reply.body)
            if reply.trouble == "cut":
                self.wfile.flush()
                self._reset()

        do_GET = do_POST = _handle  # noqa: N815 - http.server's names

        def _reset(self) -> None:
            self.close_connection = True
            # Linger 0: the socket closes with a reset, as a dying process's does.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.rfile.close()

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            return

    server = Server(("127.0.0.1", 0), Handler)
    stub = Stub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.released.set()
        server.shutdown()
        server.server_close()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
