"""HTTP to providers: a request is made once at most, and a failure says whether it can have left.

`urllib3` with its retries and redirects off. The official SDKs take it in place of their own (docs/DECISIONS.md, "HTTP
for texts and notifications", "HTTP for e-mail").
"""

from __future__ import annotations

import json
import logging
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import responses
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
import urllib3
from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ClosedPoolError, HTTPError, LocationValueError
from urllib3.exceptions import TimeoutError as NoAnswerInTime
from urllib3.util import parse_url
from urllib3.util.connection import allowed_gai_family, create_connection

from senders import deadlines
from senders.contract import UNREACHABLE, NotSent, OutcomeUnknown, SendError
from senders.deadlines import NeverStood
from warehouse.errors import Misconfigured

LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are read; nobody has more to say, and a browser's endpoint is whoever it likes to be."""
HOSTS_KEPT = 32
"""Hosts to which connections are kept."""
ROUTES_KEPT = 1000
"""Origins whose way out is remembered: a subscription can name any host."""
WHOLE_CALL = 2
"""Waiting times that a whole call has, from its beginning to the last byte of its answer."""

# It prints URLs, accounts and endpoints: at DEBUG, and at WARNING where a header of an answer is malformed.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class BadUrl(ValueError):  # noqa: N818 - a fact, which vendors translate
    """Not a URL that a request can be made to."""


@dataclass(frozen=True)
class Answer:
    """What came back. In the words of `requests.Response`, which the SDKs know."""

    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    """At most `LARGEST_ANSWER` bytes."""

    @property
    def reason(self) -> str:
        """The status in words."""
        return responses.get(self.status_code, "")

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body's document. Raises `ValueError`."""
        return json.loads(self.body)


class Refused(Exception):  # noqa: N818 - an answer, not yet judged
    """An answer that is not what was hoped for, on its way through a provider's SDK."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class Plain(HTTPConnection):
    """A connection that knows whether it ever stood, and is cut when its call is not over in time."""

    def connect(self) -> None:
        """Raises `NeverStood`, and `BadUrl` where the host can be no name."""
        try:
            super().connect()
        except (SendError, Misconfigured):
            raise
        except (UnicodeError, LocationValueError) as error:
            raise BadUrl(type(error).__name__) from None
        except Exception as error:  # noqa: BLE001 - a proxy can answer CONNECT with anything
            raise NeverStood(type(error).__name__) from None

    def _new_conn(self) -> socket.socket:
        call = deadlines.this_thread.call
        sock = self._first_of_all_addresses(call.due)
        deadlines.watch.hold(call, sock)
        return sock

    def _first_of_all_addresses(self, due: float) -> socket.socket:
        """urllib3 gives each address of a name the whole waiting time, and a name can have any number of them."""
        failure = OSError("no address")
        host = self._dns_host.strip("[]")
        for *_, place in socket.getaddrinfo(host, self.port, allowed_gai_family(), socket.SOCK_STREAM):
            seconds = min(float(self.timeout or math.inf), due - monotonic())
            if seconds <= 0:
                raise TimeoutError
            try:
                return create_connection((str(place[0]), int(place[1])), seconds, socket_options=self.socket_options)
            except OSError as error:
                failure = error
        raise failure

    def request(self, *asked: Any, **options: Any) -> None:
        """Watches a kept connection, too. Raises `NeverStood` where it cannot."""
        if self.sock is not None:
            deadlines.watch.hold(deadlines.this_thread.call, self.sock)
        super().request(*asked, **options)


class Secure(Plain, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    """Of the connections that an `Http` names."""

    keeps = True

    def _put_conn(self, conn: Any) -> None:
        deadlines.watch.let_go(deadlines.this_thread.call)
        if conn is not None and not self.keeps:  # not every server that closes it says so
            conn.close()
        super()._put_conn(conn)


class _SecurePool(_Pool, HTTPSConnectionPool):
    """The same over TLS."""


class Http:
    """Kept connections to whoever is asked. Safe for many threads."""

    def __init__(
        self,
        who: str,
        *,
        connections: int | None,
        timeout: float,
        is_direct: bool,
        whole: int = WHOLE_CALL,
        secure: type[Secure] = Secure,
    ) -> None:
        """`who`: whom a failure names. `connections`: kept, to one host; None: every call has a new one, which no other
        side can have closed just then. `timeout`: seconds for a connection, and again for each part of an answer; a
        whole call has `whole` of them. `is_direct`: past the proxies and certificates that the environment names."""
        self._who, self._is_direct, self._whole = who, is_direct, whole * timeout
        self._keeps = keeps = connections is not None
        named = None if is_direct else os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        trusted = named or certifi.where()
        self._settings: dict[str, Any] = {
            "num_pools": HOSTS_KEPT,
            "maxsize": connections or 1,
            "timeout": urllib3.Timeout(connect=timeout, read=timeout),
            "ca_cert_dir" if Path(trusted).is_dir() else "ca_certs": trusted,
        }
        self._pools = {
            "http": type("_OwnPool", (_Pool,), {"ConnectionCls": Plain, "keeps": keeps}),
            "https": type("_OwnSecurePool", (_SecurePool,), {"ConnectionCls": secure, "keeps": keeps}),
        }
        self._manager = lru_cache(maxsize=None)(self._manager_of)
        self._proxy = lru_cache(maxsize=ROUTES_KEPT)(_proxy_of)

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | str | None = None) -> Answer:
        """One request, and the answer of whom it was made to: redirects are answers like others.

        Raises `BadUrl` and `NotSent` (code `unreachable`), where nothing of it was written; `OutcomeUnknown` (code
        `timeout` or `no_answer`), where it may have left; `Misconfigured` for a proxy that is of no use. A call that is
        not over in time is cut; only for the system to resolve a name there is no end but the system's own.
        """
        proxy = self._way_out(url)
        if not self._keeps:
            headers = {**headers, "Connection": "close"}
        call = deadlines.this_thread.call = deadlines.Call(monotonic() + self._whole)
        try:
            answer = self._manager(proxy).urlopen(
                method, url, body=body, headers=headers, retries=False, redirect=False, preload_content=False
            )
            read = Answer(answer.status, answer.headers, _read(answer))
        except (SendError, Misconfigured, BadUrl):
            raise
        except (NeverStood, ClosedPoolError) as error:
            who = self._who[:1].upper() + self._who[1:]
            raise NotSent(f"{who} could not be reached ({_reason(error)}).", code=UNREACHABLE) from None
        except LocationValueError as error:
            raise BadUrl(type(error).__name__) from None
        except Exception as error:  # noqa: BLE001 - whatever broke, it may have left
            raise self._doubt(type(error).__name__, is_late=call.is_late or isinstance(error, NoAnswerInTime)) from None
        finally:
            deadlines.watch.let_go(call)
        if call.is_late:
            raise self._doubt("cut", is_late=True)
        return read

    def _doubt(self, reason: str, *, is_late: bool) -> OutcomeUnknown:
        code = "timeout" if is_late else "no_answer"
        return OutcomeUnknown(f"No answer from {self._who} that can be trusted ({reason}).", code=code)

    def _way_out(self, url: str) -> str | None:
        """The proxy to take. Raises `BadUrl`, `Misconfigured`."""
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise BadUrl(type(error).__name__) from None
        return None if self._is_direct else self._proxy(f"{parts.scheme}://{parts.netloc}")

    def _manager_of(self, proxy: str | None) -> urllib3.PoolManager:
        if proxy is None:
            manager = urllib3.PoolManager(**self._settings)
        else:
            try:
                way = parse_url(proxy)
                (way.host or "..").encode("idna")
                headers = urllib3.make_headers(proxy_basic_auth=unquote(way.auth)) if way.auth else None
                manager = urllib3.ProxyManager(proxy, proxy_headers=headers, **self._settings)
            except (HTTPError, ValueError) as error:
                raise _unusable(error) from None
        manager.pool_classes_by_scheme = self._pools
        return manager


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """The answer's body as it came: nobody was asked to compress it. One that goes on and on is left, with its
    connection. Never more of it than a buffer at once: the length of a chunk can be a lie."""
    body = b""
    while len(body) < LARGEST_ANSWER:
        part = answer.read1(LARGEST_ANSWER - len(body), decode_content=False)
        if not part:
            answer.release_conn()
            return body
        body += part
    answer.close()
    return body[:LARGEST_ANSWER]


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, NeverStood) else type(error).__name__


def _proxy_of(origin: str) -> str | None:
    """The proxy that the environment names for an origin; None: straight ahead (`NO_PROXY`, or none is named).

    Raises `Misconfigured` for one that is no URL.
    """
    found = select_proxy(origin, get_environ_proxies(origin, no_proxy=None))
    try:
        return prepend_scheme_if_needed(found, "http") if found else None
    except (HTTPError, ValueError) as error:
        raise _unusable(error) from None


def _unusable(error: Exception) -> Misconfigured:
    return Misconfigured(
        f"The proxy that the environment names in HTTPS_PROXY (or HTTP_PROXY, ALL_PROXY) cannot be used "
        f"({type(error).__name__}): an http or https URL was expected, with %23 for a # and %40 for an @ in its "
        "password. Nothing was sent."
    )
