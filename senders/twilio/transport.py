"""One call of Twilio's Messages resource through the SDK, and the one place where what can go wrong becomes ours.

The SDK's own HTTP client keeps its last answer in a shared attribute and returns that, so that two threads can get each
other's: ours keeps nothing.
"""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import urllib3
from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from senders import wire
from senders.contract import NotSent, OutcomeUnknown, Rejected, SendError
from senders.http import Answer, BadUrl, Http, Refused
from senders.twilio import codes
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

API = "https://api.twilio.com"
MESSAGE_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
UNSENT_STATUSES = frozenset({"failed", "undelivered", "canceled"})
TAKEN_STATUSES = frozenset(
    {"accepted", "scheduled", "queued", "sending", "sent", "partially_delivered", "delivered", "read"}
)
"""What a message that Twilio took may be in (Message resource, `status`; two more are of inbound ones)."""
CREATED, FOUND = 201, 200
KEY = "key"
"""Our word for an API key that may read nothing."""
PAUSE = timedelta(seconds=30)
"""Where Twilio asks us to slow down and does not say for how long."""

# At INFO the SDK prints URLs with the account.
for _name in ("twilio", "twilio.http_client"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class _Http(HttpClient):  # type: ignore[misc]
    def __init__(self, base: str, connection: Connection, connections: int) -> None:
        super().__init__(logging.getLogger("twilio.http_client"), False, wire.timeout_of(connection))
        self._base = base
        login = f"{connection.login}:{connection.password}"
        wire.refuse_unwritable(connection, login)
        self._signed_in = urllib3.make_headers(basic_auth=login)
        self._http = Http("Twilio", connections=connections, timeout=self.timeout, is_direct=connection.sandbox)

    def request(self, method: str, url: str, **sent: Any) -> Response:
        if not url.startswith(f"{API}/"):
            raise Misconfigured(
                "Twilio's SDK wants to call another host than the connection's: an edge or a region was chosen. Name "
                "it in the connection's host. Nothing was sent."
            )
        asked, form = sent.get("params"), sent.get("data")
        answer = self._http.request(
            method,
            self._base + url.removeprefix(API) + (f"?{urlencode(asked, doseq=True)}" if asked else ""),
            {**(sent.get("headers") or {}), **self._signed_in},
            urlencode(form, doseq=True) if form else None,
        )
        if answer.status_code != (CREATED if method == "POST" else FOUND):
            raise Refused(answer)
        return Response(answer.status_code, answer.text, answer.headers)


class FailedAtOnce(Exception):  # noqa: N818 - a word of Twilio's
    """Twilio made the message and failed it in the same answer. It reports that failure by `sid`, too."""

    def __init__(self, meaning: Exception, sid: str) -> None:
        super().__init__(str(meaning))
        self.meaning, self.sid = meaning, sid


class Transport:
    """The way to one Twilio account (or its sandbox). Safe for many threads."""

    def __init__(self, connection: Connection, connections: int) -> None:
        account = str(connection.extra.get("account_sid") or connection.login)
        if not (connection.login and connection.password and account.startswith("AC")):
            raise Misconfigured(
                f"Connection {connection.conn_id!r} needs a login (the account SID, AC..., or an API key with extra "
                '"account_sid") and a password (its token). Nothing was claimed or sent.'
            )
        self._account, self._is_key = account, account != connection.login
        http = _Http(wire.base_url(connection, API), connection, connections)
        self._client = Client(connection.login, connection.password, account_sid=account, http_client=http)
        # The SDK takes both from the environment, and with them another host than the connection's.
        self._client.edge = self._client.region = None

    def post(self, **arguments: Any) -> str:
        """Hands over one message, returns its SID.

        Raises `Rejected`, `NotSent`, `OutcomeUnknown`, `Misconfigured`, and `FailedAtOnce` with one of them.
        """
        try:
            made = self._client.messages.create(**arguments)
            sid, status, failure = made.sid, made.status, made.error_code
        except Exception as error:  # noqa: BLE001 - every failure of the SDK is given its meaning here
            raise _translate(error) from None
        if not (isinstance(sid, str) and MESSAGE_SID.fullmatch(sid)):
            raise OutcomeUnknown("Twilio's answer has no message SID.", code="nonsense")
        if status in UNSENT_STATUSES:
            raise FailedAtOnce(_coded(int(failure or 0), "it failed at once", fallback="failed"), sid)
        if status not in TAKEN_STATUSES:
            raise OutcomeUnknown("Twilio's answer has no status that it documents.", code="nonsense")
        return sid

    def account(self) -> tuple[str, str] | None:
        """The account's status and type (`active`, `Full`). An API key may not read them: None, and a page of messages
        was read in their place. Raises `Misconfigured`, `NotSent`, `Rejected`, and `OutcomeUnknown`, also for a key
        that may not read that: it may be wrong, or one that may send and nothing else.
        """
        try:
            if self._is_key:
                self._client.messages.page(page_size=1)
                return None
            found = self._client.api.v2010.accounts(self._account).fetch()
            status, kind = found.status, found.type
        except Exception as error:  # noqa: BLE001 - every failure of the SDK is given its meaning here
            meaning = _translate(error)
            if self._is_key and isinstance(meaning, Misconfigured):
                meaning = OutcomeUnknown(
                    "Twilio lets this API key read nothing: it is wrong, or may only send.", code="key"
                )
            raise meaning from None
        if not status:
            raise OutcomeUnknown("Twilio's answer says nothing of the account's status.", code="nonsense")
        return str(status), str(kind)


def _translate(error: Exception) -> Exception:
    if isinstance(error, Refused):
        return _refused(error.answer)
    if isinstance(error, SendError | Misconfigured):
        return error
    if isinstance(error, BadUrl):
        return Misconfigured("The host of Twilio's connection makes no URL. Nothing was sent.")
    if isinstance(error, TwilioException):
        return OutcomeUnknown("Twilio's SDK gave up on the answer.", code=type(error).__name__)
    return OutcomeUnknown(f"Twilio's answer could not be read ({type(error).__name__}).", code="nonsense")


def _refused(answer: Answer) -> Exception:
    status = answer.status_code
    if status < 300:
        return OutcomeUnknown(f"Twilio answered {status} where it documents another.", code=f"http_{status}")
    wait = wire.retry_after(answer.headers)
    if status == 408 or status >= 500:
        return OutcomeUnknown(f"Twilio answered {status}.", wait, code=f"http_{status}")
    try:
        document = answer.json()
        code, words = int(document.get("code") or 0), wire.scrub(document.get("message") or "no reason given")
    except (ValueError, TypeError, AttributeError):
        code, words = 0, "no reason given"
    if status == 429:
        return NotSent("Twilio asks us to slow down.", wait or PAUSE, code=str(code or "http_429"))
    if status in {301, 302, 307, 308, 401, 404, 405}:
        return _ours(code or status, words)
    if status < 400:
        return OutcomeUnknown(f"Twilio answered {status}.", code=f"http_{status}")
    if not code:
        return Misconfigured(
            f"{status} without a code of Twilio's came from where Twilio should be: a proxy or a firewall on the way, "
            "or another host. Check the connection's host and the way out of this network. Nobody was rejected for it."
        )
    if status == 403 and code not in codes.STOPPED | codes.INVALID | codes.OWN | codes.THROTTLED:
        return _ours(code, words)
    return _coded(code, words, wait=wait)


def _coded(code: int, words: str, *, wait: timedelta | None = None, fallback: str = "") -> Exception:
    if code in codes.THROTTLED:
        return NotSent("Twilio asks us to slow down.", wait or PAUSE, code=str(code))
    if code in codes.ACCOUNT:
        return _ours(code, words)
    suppress = "stopped" if code in codes.STOPPED else "invalid" if code in codes.INVALID else None
    # The number stays good, and is the reason all the same: ours, premium, or where this account's texts do not go.
    is_its_own = suppress is not None or code in {21266, 21268, 21408, 21612, 21657}
    return Rejected(
        f"Twilio refused it: {words}.",
        code=str(code) if code else fallback,
        suppress=suppress,
        is_address_fault=is_its_own,
    )


def _ours(code: int, words: str) -> Misconfigured:
    return Misconfigured(
        f"Twilio refused us with {code}: {words}. Check the account, its token, the sender and its settings. Nobody "
        "was rejected for it."
    )
