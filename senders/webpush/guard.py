"""Where a push may go. An endpoint is whatever a browser, or somebody posing as one, handed to the shop.

So: https alone, no redirects, and no connection to an address inside the house; that is checked on the connection
itself, before anything is written, so that DNS cannot change its mind in between. A sandbox takes all of it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from senders.contract import Rejected
from senders.http import Answer, BadUrl, Http, Secure

WHO = "the push service"


class _Outside(Secure):
    """A connection that leads out of the house, or none."""

    def _new_conn(self) -> Any:
        sock = super()._new_conn()
        if self.proxy is None and not ipaddress.ip_address(sock.getpeername()[0]).is_global:
            sock.close()
            raise Rejected("The endpoint leads inside the house; no request was made.", code="bad_endpoint")
        return sock


class Guarded:
    """The way to real push services, as pywebpush asks a session of `requests`."""

    def __init__(self, connections: int, timeout: float) -> None:
        self._http = Http(WHO, connections=connections, timeout=timeout, is_direct=False, secure=_Outside)

    def post(self, url: str, *, data: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """One notification. Raises what `Http.request` does, and `Rejected` for an address inside the house."""
        _refuse_other_schemes(url)
        return self._http.request("POST", url, dict(headers), data)


class ToSandbox:
    """Takes what is meant for a push service to the sandbox: same path, `Host` as the endpoint has it."""

    def __init__(self, sandbox_host: str, connections: int, timeout: float) -> None:
        self._sandbox = sandbox_host
        self._http = Http(WHO, connections=connections, timeout=timeout, is_direct=True)

    def post(self, url: str, *, data: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """One notification, its claims untouched. Raises what `Http.request` does."""
        _refuse_other_schemes(url)
        parts = urlsplit(url)
        there = parts._replace(scheme="http", netloc=self._sandbox).geturl()
        return self._http.request("POST", there, {**headers, "Host": parts.netloc}, data)


def _refuse_other_schemes(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise BadUrl("an https URL was expected")
