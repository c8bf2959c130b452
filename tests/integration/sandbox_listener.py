"""A webhook endpoint that keeps what it is sent and answers what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit


@dataclass
class Call:
    """One request as it came."""

    url: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def query(self, name: str) -> str:
        return parse_qs(urlsplit(self.url).query)[name][0]

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Listener:
    """What came. `refuse_next`: how many of the next calls are answered 503."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    refuse_next: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path == path]

    def mail_events(self) -> list[dict[str, Any]]:
        return [event for call in self.at("/events/sendgrid") for event in json.loads(call.body)]

    def kinds(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for event in self.mail_events():
            kind = "machine open" if event.get("sg_machine_open") else event["event"]
            kind = "blocked" if event.get("type") == "blocked" else kind
            found[kind] = found.get(kind, 0) + 1
        return found


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener on a free port."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with listener.lock:
                refused = listener.refuse_next > 0
                listener.refuse_next -= refused
                if not refused:
                    listener.calls.append(Call(listener.url + self.path, self.headers, body))
            self.send_response(503 if refused else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    listener.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
