"""`python -m bench.sender ROLE ...`: one process that sends, started by the benchmarks and told when to begin.

| role | what it does |
| --- | --- |
| dispatch INDEX COUNT CONNECTIONS START UNTIL | our dispatcher over its share of what is planned |
| sdk CHANNEL MESSAGES | the provider's SDK as its documentation shows it: one call a message, one after the other |
| plain CONNECTIONS MESSAGES | the same text messages through bare kept connections: the ceiling of HTTP |
| encrypt MESSAGES | nothing but the encryption of notifications (RFC 8291) |

It prints `ready`, waits for a line, works, and prints one line of JSON: messages, seconds, peak memory in bytes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

HOST = os.environ.get("BENCH_SINK", "http://127.0.0.1:1")
ACCOUNT = "AC" + "0" * 32
TEXT = "Riverside Market: 10% off your next order with code WINBACK_DISCOUNT10-000000001. Reply STOP to opt out."
MAIL = (
    "<html><body><h1>We miss you</h1><p>10% off your next order with code WINBACK_DISCOUNT10-000000001.</p>"
    "</body></html>"
)
NOTIFICATION = json.dumps({"title": "We miss you", "body": "These are what everybody buys.", "url": "x" * 200})
Work = Callable[[], int]


def dispatch(index: str, count: str, connections: str, start: str, until: str) -> Work:
    """Claims, sends and records what is planned. Returns how many messages were accepted."""
    from outbox.claims import Shard
    from outbox.dispatch import Dispatcher
    from senders import registry

    dispatcher = Dispatcher(
        registry.Senders(), shard=Shard(int(index), int(count)), connections=int(connections), progress=lambda _: None
    )

    def work() -> int:
        done = dispatcher.simulated(datetime.fromisoformat(start), datetime.fromisoformat(until), tell=lambda _: None)
        if set(done.totals) - {"accepted", "deferred"}:
            raise RuntimeError(f"Not only accepted messages: {done.totals}")
        return done.totals.get("accepted", 0)

    return work


def sdk(channel: str, messages: str) -> Work:
    """One call a message, the way the SDK's documentation shows it."""
    return {"email": _mails, "sms": _texts}[channel](int(messages))


def _mails(messages: int) -> Work:
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers.mail import Mail

    client = SendGridAPIClient("SG.key", host=HOST)

    def work() -> int:
        for number in range(messages):
            mail = Mail("hello@shop.example.com", f"c{number}@example.com", "We miss you", html_content=MAIL)
            assert client.send(mail).status_code == 202
        return messages

    return work


def _texts(messages: int) -> Work:
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    class Local(TwilioHttpClient):  # type: ignore[misc]
        def request(self, method: str, url: str, **keywords: object) -> object:
            return super().request(method, url.replace("https://api.twilio.com", HOST, 1), **keywords)

    client = Client(ACCOUNT, "token", http_client=Local())

    def work() -> int:
        for number in range(messages):
            client.messages.create(body=TEXT, from_="+15005550006", to=f"+999{number:010}")
        return messages

    return work


def plain(connections: str, messages: str) -> Work:
    """Threads with one kept connection each, posting the same form."""
    body = urlencode({"To": "+9990000000001", "From": "+15005550006", "Body": TEXT, "ValidityPeriod": "36000"}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic QUM6dG9rZW4="}
    each = int(messages) // int(connections)

    def one(_: int) -> int:
        wire = HTTPConnection(urlsplit(HOST).netloc)
        for _ in range(each):
            wire.request("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", body, headers)
            answer = wire.getresponse()
            assert answer.status == 201 and answer.read()
        wire.close()
        return each

    def work() -> int:
        with ThreadPoolExecutor(int(connections)) as pool:
            return sum(pool.map(one, range(int(connections))))

    return work


def encrypt(messages: str) -> Work:
    """Each notification encrypted by pywebpush for the same browser: no signature, no HTTP, no ledger."""
    import base64

    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from pywebpush import WebPusher

    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    key = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    browser = {
        "endpoint": "https://push.example.com/1",
        "keys": {
            "p256dh": base64.urlsafe_b64encode(key).decode().rstrip("="),
            "auth": base64.urlsafe_b64encode(b"0" * 16).decode().rstrip("="),
        },
    }

    def work() -> int:
        for _ in range(int(messages)):
            assert WebPusher(browser).encode(NOTIFICATION.encode())
        return int(messages)

    return work


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Gets ready, waits for the word, works, tells."""
    roles: dict[str, Callable[..., Work]] = {"dispatch": dispatch, "sdk": sdk, "plain": plain, "encrypt": encrypt}
    work = roles[sys.argv[1]](*sys.argv[2:])
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    messages = work()
    told = {"messages": messages, "seconds": time.perf_counter() - began, "peak_bytes": _peak()}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
