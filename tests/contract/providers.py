"""The providers of the contract cases: each is told how to behave in the same words, over real HTTP but for memory."""

from __future__ import annotations

import base64
import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from senders.contract import (
    EMAIL,
    SMS,
    WEBPUSH,
    Message,
    NotSent,
    Outcome,
    OutcomeKind,
    OutcomeUnknown,
    Push,
    Recipient,
    Rejected,
    Sender,
    Subscription,
    Template,
)
from senders.memory.send import MemorySender, accept
from senders.registry import build
from tests.contract.stub import Recorded, Reply, Stub, free_port
from warehouse import connections
from warehouse.errors import Misconfigured

CLOCK = datetime(2017, 10, 1, 14, 0, tzinfo=UTC)
NAME = "Zephyrine"
API_KEY, SID, TOKEN = "SG.secret-key-of-sendgrid", "AC" + "0" * 32, "secret-token-of-twilio"
PATIENCE_SECONDS, HANGING_SECONDS = 10, 0.4
"""How long a sender waits: long enough for a busy machine, and no longer than needed for a provider that hangs."""

DEFINITION: Mapping[str, Any] = {
    "campaign": "winback",
    "email": {
        "from_name": "Riverside Market",
        "from_address": "hello@shop.example.com",
        "reply_to": "care@shop.example.com",
    },
    "sms": {"brand": "Riverside Market", "from_number": "+15005550006"},
    "webpush": {"contact": "mailto:care@shop.example.com"},
    "steps": [{"key": "day30"}],
}
TEMPLATE = Template(
    template_hash="5" * 64,
    subject="We miss you, {{ first_name }}",
    html='<p title="{{ first_name }}">Hello {{ first_name }}</p><a href="{{ step_url }}">Shop</a>',
    text="Hello {{ first_name }}: {{ step_url }}",
    sms="Riverside Market: {{ first_name }}, {{ step_url }} Reply STOP to opt out",
    push=Push(title="We miss you", body="Hello {{ first_name }}", url="{{ step_url }}"),
)


def b64url(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


_browser = b64url(_p256().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
_vapid = b64url(_p256().private_numbers().private_value.to_bytes(32, "big"))


def subscription(endpoint: str) -> Subscription:
    """A subscription with real keys."""
    return Subscription(endpoint, _browser, b64url(b"0123456789abcdef"))


def message(number: int, channel: str, **changes: Any) -> Message:
    """Message `number` to its own recipient."""
    recipient = Recipient(
        email=f"Person{number}@Example.com" if channel == EMAIL else None,
        phone=f"+1202555{number:04d}" if channel == SMS else None,
        subscriptions=(subscription(f"https://push.example.net/s/{number}"),) if channel == WEBPUSH else (),
    )
    made = Message(
        message_id=uuid.UUID(int=number + (1 << 100)),
        channel=channel,
        recipient=recipient,
        template=TEMPLATE,
        fields={"first_name": NAME, "step_url": "https://shop.example.com/?utm_campaign=winback&utm_content=day30"},
        campaign="winback",
        step="day30",
        deliver_before=CLOCK + timedelta(hours=3),
        clock=CLOCK,
        unsubscribe_url="https://events.example.com/unsubscribe/token",
    )
    return replace(made, **changes)


class Provider(ABC):
    """How a provider is told to behave. `taken`: the message ids it took, in order; `asked`: those it was given."""

    channel: str
    secrets: Sequence[str] = ()
    """What the connection holds and nothing may show."""

    def __init__(self) -> None:
        self.taken: list[uuid.UUID] = []
        self.asked: list[uuid.UUID] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """Called while the provider thinks about one call, before it answers."""

    @abstractmethod
    def sender(self) -> Sender:
        """A sender that talks to this provider."""

    @abstractmethod
    def one_by_one(self) -> None:
        """The next sender makes one call at a time, each with one message."""

    @abstractmethod
    def behaves(self, how: str, *, bad: int | None = None) -> None:
        """`accepts`, `throttles` and `is_busy` (429 and 503, 70 seconds), `throttles_until` (a date), `fails`, `hangs`,
        `resets`, `cuts`, `garbles`, `takes_and_drops`, `talks_nonsense`, `refuses_us`,
        `is_down`; `refuses` the recipient of message number `bad`."""


class HttpProvider(Provider):
    """A provider behind the stub."""

    vendor: str
    """Its folder under `senders/`. Several may serve one channel; each is asked by itself."""
    conn_id: str

    def __init__(self, stub: Stub, environment: Callable[[str, str], None]) -> None:
        super().__init__()
        self.stub = stub
        self._environment = environment
        environment("WINBACK_PUBLIC_URL", "https://events.example.com")
        environment("WINBACK_TOKEN_KEY", "a-key-for-tests")
        self.connect(stub.url)

    def connect(self, url: str, **extra: Any) -> None:
        """Sets the connection's environment variable, at `url`."""
        document = self.connection(url)
        document["extra"] = {**document["extra"], "timeout_seconds": PATIENCE_SECONDS, "sandbox": True, **extra}
        self._environment(connections.variable(self.conn_id), json.dumps(document))

    @abstractmethod
    def connection(self, url: str) -> dict[str, Any]:
        """The Airflow connection."""

    def one_by_one(self) -> None:
        self.connect(self.stub.url, connections=1, batch_size=1)

    def sender(self) -> Sender:
        return build(self.vendor, self.conn_id, DEFINITION)

    @abstractmethod
    def ids(self, request: Recorded) -> list[uuid.UUID]:
        """The messages in a request."""

    @abstractmethod
    def ok(self, request: Recorded) -> Reply:
        """Acceptance in the provider's words."""

    @abstractmethod
    def bad_request(self) -> Reply:
        """The refusal of a recipient."""

    def behaves(self, how: str, *, bad: int | None = None) -> None:
        if how == "is_down":
            self.connect(f"http://127.0.0.1:{free_port()}")
            return
        if how == "hangs":
            self.connect(self.stub.url, timeout_seconds=HANGING_SECONDS)
        refused = None if bad is None else message(bad, self.channel).message_id
        replies = {
            "throttles": Reply(429, {"Retry-After": "70"}, b'{"code": 20429, "errors": []}'),
            "throttles_until": Reply(429, {"Retry-After": formatdate(time.time() + 70, usegmt=True)}),
            "is_busy": Reply(503, {"Retry-After": "70"}, b"<html>busy</html>"),
            "fails": Reply(500, {}, b"<html>oops</html>"),
            "hangs": Reply(trouble="hang"),
            "resets": Reply(trouble="reset"),
            "talks_nonsense": Reply(*self.nonsense),
            "refuses_us": self.unauthorised,
        }

        def answer(request: Recorded) -> Reply:
            ids = self.ids(request)
            self.asked += ids
            self.meanwhile()
            if how in replies:
                return replies[how]
            if refused in ids:
                return self.bad_request()
            self.taken += ids
            if how == "takes_and_drops":
                return Reply(trouble="reset")
            return replace(self.ok(request), trouble={"cuts": "cut", "garbles": "garbled"}.get(how, ""))

        self.stub.answer = answer

    nonsense: tuple[int, dict[str, str], bytes] = (200, {"Content-Type": "text/html"}, b"<h1>It works!</h1>")
    unauthorised = Reply(401, {}, b'{"code": 20003, "message": "Authenticate", "errors": [{"message": "wrong key"}]}')


class SendGrid(HttpProvider):
    """SendGrid's /v3/mail/send."""

    vendor, channel, conn_id = "sendgrid", EMAIL, connections.SENDGRID
    secrets = (API_KEY,)

    def connection(self, url: str) -> dict[str, Any]:
        return {"conn_type": "sendgrid", "host": f"{url}/sendgrid", "password": API_KEY, "extra": {}}

    def ids(self, request: Recorded) -> list[uuid.UUID]:
        return [uuid.UUID(one["custom_args"]["message_id"]) for one in request.json()["personalizations"]]

    def ok(self, request: Recorded) -> Reply:
        return Reply(202, {"X-Message-Id": "14c5d75ce93.dfd.64b469"})

    def bad_request(self) -> Reply:
        error = {"message": "Does not contain a valid address.", "field": "personalizations.0.to.0.email"}
        return Reply(400, {}, json.dumps({"errors": [error]}).encode())


class Twilio(HttpProvider):
    """Twilio's Messages.json."""

    vendor, channel, conn_id = "twilio", SMS, connections.TWILIO
    secrets = (TOKEN, SID)

    def connection(self, url: str) -> dict[str, Any]:
        extra = {"webhook_url": "https://events.example.com/events/twilio"}
        return {"conn_type": "twilio", "host": f"{url}/twilio", "login": SID, "password": TOKEN, "extra": extra}

    def ids(self, request: Recorded) -> list[uuid.UUID]:
        form = parse_qs(request.body.decode())
        return [uuid.UUID(parse_qs(urlsplit(form["StatusCallback"][0]).query)["message_id"][0])]

    def ok(self, request: Recorded) -> Reply:
        sid = f"SM{self.ids(request)[0].hex}"
        return Reply(201, {}, json.dumps({"sid": sid, "status": "queued", "error_code": None}).encode())

    def bad_request(self) -> Reply:
        return Reply(400, {}, b'{"code": 21211, "message": "Invalid \'To\' Phone Number: +12025550003", "status": 400}')


class WebPush(HttpProvider):
    """A push service; each message has its own endpoint, whose number names it."""

    vendor, channel, conn_id = "webpush", WEBPUSH, connections.WEBPUSH
    secrets = (_vapid, "/s/1")

    def connection(self, url: str) -> dict[str, Any]:
        return {"conn_type": "webpush", "password": _vapid, "extra": {"sandbox_host": urlsplit(url).netloc}}

    def ids(self, request: Recorded) -> list[uuid.UUID]:
        return [message(int(request.path.rsplit("/", 1)[-1]), WEBPUSH).message_id]

    def ok(self, request: Recorded) -> Reply:
        return Reply(201, {"Location": "https://push.example.net/m/abc"})

    def bad_request(self) -> Reply:
        return Reply(400, {}, b"bad encryption keys")


class Memory(Provider):
    """The in-process sender."""

    channel = EMAIL

    def __init__(self, *_: object) -> None:
        super().__init__()
        self._answer: Callable[[Message], Outcome] = accept

    def sender(self) -> Sender:
        return MemorySender(EMAIL, answer=lambda one: self._answer(one))  # noqa: PLW0108 - looked up at each call

    def one_by_one(self) -> None:
        """It never does otherwise."""

    def behaves(self, how: str, *, bad: int | None = None) -> None:
        refused = None if bad is None else message(bad, EMAIL).message_id
        errors: dict[str, Exception] = {
            "throttles": NotSent("slow down", timedelta(seconds=70), code="http_429"),
            "throttles_until": NotSent("slow down", timedelta(seconds=70), code="http_429"),
            "is_busy": OutcomeUnknown("busy", timedelta(seconds=70), code="http_503"),
            "is_down": NotSent("nobody there", code="unreachable"),
            "refuses_us": Misconfigured("wrong key"),
        }
        doubts = {"fails": "http_500", "hangs": "timeout", "resets": "no_answer", "talks_nonsense": "nonsense"}

        def answer(one: Message) -> Outcome:
            self.asked.append(one.message_id)
            self.meanwhile()
            if how in errors:
                raise errors[how]
            if how in doubts:
                raise OutcomeUnknown("no answer to trust", code=doubts[how])
            if one.message_id == refused:
                raise Rejected("not an address", code="http_400")
            self.taken.append(one.message_id)
            if how in {"takes_and_drops", "cuts"}:
                raise OutcomeUnknown("no answer", code="no_answer")
            return accept(one)

        self._answer = answer


PROVIDERS: Mapping[str, type[HttpProvider | Memory]] = {
    **{each.vendor: each for each in (SendGrid, Twilio, WebPush)},
    "memory": Memory,
}

KINDS = OutcomeKind
