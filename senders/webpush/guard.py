"""Where a push may go. An endpoint is whatever a browser, or somebody posing as one, handed to the shop.

So: no redirects, and no connection to an address inside the house; that is checked on the connection itself, before
anything is written, so that DNS cannot change its mind in between. A sandbox takes all of it.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter


class InsideTheHouse(OSError):  # noqa: N818 - a fact, for the translation below
    """The endpoint's host lies inside the house."""


class _GuardedConnection(urllib3.connection.HTTPSConnection):
    def _new_conn(self) -> Any:
        sock = super()._new_conn()
        if self.proxy is None and not ipaddress.ip_address(sock.getpeername()[0]).is_global:
            sock.close()
            raise InsideTheHouse(self.host)
        return sock


class _GuardedPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _GuardedConnection


class Guarded(HTTPAdapter):
    """The way to real push services."""

    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        """Pools whose connections are checked."""
        super().init_poolmanager(*arguments, **keywords)
        self.poolmanager.pool_classes_by_scheme = {"https": _GuardedPool}


class ToSandbox(HTTPAdapter):
    """Takes what is meant for a push service to the sandbox: same path, `Host` as the endpoint has it."""

    def __init__(self, sandbox_host: str, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._sandbox = sandbox_host

    def send(self, request: requests.PreparedRequest, *arguments: Any, **keywords: Any) -> requests.Response:
        """Redirects the request, its claims untouched."""
        parts = urlsplit(str(request.url))
        request.headers["Host"] = parts.netloc
        request.url = parts._replace(scheme="http", netloc=self._sandbox).geturl()
        return super().send(request, *arguments, **keywords)


class Session(requests.Session):
    """Follows no redirect."""

    def request(self, *arguments: Any, **keywords: Any) -> requests.Response:
        """One request, whose answer is what the endpoint itself said."""
        return super().request(*arguments, **{**keywords, "allow_redirects": False})
