"""A mail server and a web hook on loopback that keep what they are sent."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar, Self


class Mailbox:
    """Both servers, each in a thread of its own."""

    def __init__(self) -> None:
        self.posted: list[Any] = []
        self.mailed = ""
        box = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                box.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        class Smtp(socketserver.StreamRequestHandler):
            answers: ClassVar[dict[str, str]] = {"DATA": "354 go on", "QUIT": "221 bye"}

            def handle(self) -> None:
                self._say("220 mailbox")
                while line := self.rfile.readline().decode().strip():
                    verb = line.split(" ")[0].split(":")[0].upper()
                    self._say(self.answers.get(verb, "250 fine"))
                    if verb == "QUIT":
                        return
                    if verb == "DATA":
                        self._read_mail()

            def _read_mail(self) -> None:
                while (line := self.rfile.readline().decode()) != ".\r\n":
                    box.mailed += line.replace("\r\n", "\n")
                self._say("250 kept")

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self._servers = [HTTPServer(("127.0.0.1", 0), Hook), socketserver.TCPServer(("127.0.0.1", 0), Smtp)]

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def connections(self) -> dict[str, str]:
        """Both as Airflow connections in the environment."""
        hook, mail = (server.server_address[1] for server in self._servers)
        extra = {
            "disable_ssl": True,
            "disable_tls": True,
            "from_email": "airflow@example.com",
            "to": "team@example.com",
        }
        return {
            "AIRFLOW_CONN_ALERTS_WEBHOOK": json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{hook}/hook"}),
            "AIRFLOW_CONN_ALERTS_SMTP": json.dumps(
                {"conn_type": "smtp", "host": "127.0.0.1", "port": mail, "extra": json.dumps(extra)}
            ),
        }
