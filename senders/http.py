"""HTTP for texts and notifications: a request is made once at most, and a failure says whether it can have left.

`urllib3` with its retries and redirects off. The official SDKs take it in place of `requests`, which rides on it, too,
and costs as much again (docs/DECISIONS.md, "HTTP for texts and notifications").
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
import urllib3
from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.exceptions import TimeoutError as NoAnswerInTime
from urllib3.util import parse_url

from senders.contract import UNREACHABLE, NotSent, OutcomeUnknown, SendError
from warehouse.errors import Misconfigured

LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are read; nobody has more to say, and a browser's endpoint is whoever it likes to be."""
HOSTS_KEPT = 32
"""Hosts to which connections are kept."""
ROUTES_KEPT = 1000
"""Origins whose way out is remembered: a subscription can name any host."""

# At DEBUG it prints URLs: accounts and endpoints.
logging.getLogger("urllib3").setLevel(logging.WARNING)


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
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body's document. Raises `ValueError`."""
        return json.loads(self.body)


class _NeverStood(Exception):  # noqa: N818 - a fact; outside of what urllib3 catches, so that it is wrapped in nothing
    """No connection (or no TLS, or no way through the proxy): nothing of the request was written."""


def _connect(standing: Any) -> None:
    try:
        standing()
    except (OSError, HTTPError) as error:
        raise _NeverStood(type(error).__name__) from None


class Plain(HTTPConnection):
    """A connection that knows whether it ever stood."""

    def connect(self) -> None:
        """Raises `_NeverStood`."""
        _connect(super().connect)


class Secure(HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        """Raises `_NeverStood`."""
        _connect(super().connect)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = Plain


class Http:
    """Kept connections to whoever is asked. Safe for many threads."""

    def __init__(
        self, who: str, *, connections: int, timeout: float, is_direct: bool, secure: type[Secure] = Secure
    ) -> None:
        """`who`: whom a failure names. `connections`: kept, to one host. `timeout`: seconds for a connection, and again
        for each part of an answer. `is_direct`: past the proxies and certificates that the environment names."""
        self._who, self._is_direct = who, is_direct
        named = None if is_direct else os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        trusted = named or certifi.where()
        self._settings: dict[str, Any] = {
            "num_pools": HOSTS_KEPT,
            "maxsize": connections,
            "timeout": urllib3.Timeout(connect=timeout, read=timeout),
            "ca_cert_dir" if Path(trusted).is_dir() else "ca_certs": trusted,
        }
        pool = type("_SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure})
        self._pools = {"http": _PlainPool, "https": pool}
        self._manager = lru_cache(maxsize=None)(self._manager_of)
        self._proxy = lru_cache(maxsize=ROUTES_KEPT)(_proxy_of)

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | str | None = None) -> Answer:
        """One request, and the answer of whom it was made to: redirects are answers like others.

        Raises `BadUrl` and `NotSent` (code `unreachable`), where nothing of it was written; `OutcomeUnknown` (code
        `timeout` or `no_answer`), where it may have left; `Misconfigured` for a proxy that is of no use.
        """
        parts = urlsplit(url)
        proxy = None if self._is_direct else self._proxy(f"{parts.scheme}://{parts.netloc}")
        try:
            answer = self._manager(proxy).urlopen(
                method, url, body=body, headers=headers, retries=False, redirect=False, preload_content=False
            )
            return Answer(answer.status, answer.headers, _read(answer))
        except SendError:
            raise
        except _NeverStood as error:
            raise NotSent(f"No connection to {self._who} ({error}).", code=UNREACHABLE) from None
        except LocationValueError as error:
            raise BadUrl(type(error).__name__) from None
        except (HTTPError, OSError) as error:
            code = "timeout" if isinstance(error, NoAnswerInTime) else "no_answer"
            raise OutcomeUnknown(
                f"No answer from {self._who} that can be trusted ({type(error).__name__}).", code=code
            ) from None

    def _manager_of(self, proxy: str | None) -> urllib3.PoolManager:
        if proxy is None:
            manager = urllib3.PoolManager(**self._settings)
        else:
            try:
                sign_in = parse_url(proxy).auth
                headers = urllib3.make_headers(proxy_basic_auth=unquote(sign_in)) if sign_in else None
                manager = urllib3.ProxyManager(proxy, proxy_headers=headers, **self._settings)
            except (HTTPError, ValueError) as error:
                raise Misconfigured(
                    f"The proxy that the environment names for {self._who} cannot be used ({type(error).__name__}): an "
                    "http or https one was expected in HTTPS_PROXY. Nothing was sent."
                ) from None
        manager.pool_classes_by_scheme = self._pools
        return manager


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """The answer's body. One that goes on and on is left, with its connection."""
    body = answer.read(LARGEST_ANSWER, decode_content=True)
    if len(body) == LARGEST_ANSWER:
        answer.close()
    else:
        answer.release_conn()
    return body


def _proxy_of(origin: str) -> str | None:
    """The proxy that the environment names for an origin; None: straight ahead (`NO_PROXY`, or none is named)."""
    found = select_proxy(origin, get_environ_proxies(origin, no_proxy=None))
    return prepend_scheme_if_needed(found, "http") if found else None
