"""Where a push may go. An endpoint is whatever a browser, or somebody posing as one, handed to the shop.

So: https alone, no redirects, and no connection to an address inside the house; that is checked on the connection
itself, before anything is written, so that DNS cannot change its mind in between. Behind a proxy it is the proxy that
resolves names, and what can be judged is the name. A sandbox takes all of it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from senders.contract import Rejected
from senders.http import Answer, Http, Secure

WHO = "the push service"
_UNICAST = ipaddress.ip_network("2000::/3")
"""What of IPv6 is given out to the world (RFC 4291, 2.4): neither site-local addresses nor IPv4-compatible ones are."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAME = re.compile(r"([a-z0-9_-]+\.)+(?!0x[0-9a-f]*$)[a-z0-9_-]*[a-z_-][a-z0-9_-]*")
"""Two labels at least, the last one no number: others are read as IPv4 addresses (`10.1`, `0x7f.1`)."""
_HOUSE = re.compile(r"(^|\.)(localhost|local|internal)$")


def is_outside(address: str) -> bool:
    """Whether an IP address is out in the world; so must an IPv4 address be that an IPv6 one holds."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        held = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF) if found in _NAT64 else found.ipv4_mapped
        if held is not None:
            return is_outside(str(held))
        if found not in _UNICAST or (found.sixtofour is not None and not is_outside(str(found.sixtofour))):
            return False
    return found.is_global and not found.is_multicast


def is_outside_by_name(host: str) -> bool:
    """What can be said of a host that somebody else resolves."""
    host = host.lower().strip("[]")
    try:
        return is_outside(host)
    except ValueError:
        host = host.removesuffix(".")
        return bool(_NAME.fullmatch(host)) and not _HOUSE.search(host)


def host_of(endpoint: str) -> str:
    """The host of an https endpoint, with its port where it has one. Raises `Rejected` where it is no such thing."""
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
        host = parts.hostname or ""
        # A % would be decoded on the way, into what nobody has looked at.
        if parts.scheme == "https" and "%" not in host and host.encode("ascii").decode().encode("idna"):
            return parts.netloc
    except ValueError:  # brackets, ports, labels, letters that a browser would have encoded
        pass
    raise Rejected("The endpoint is not an https URL.", code="bad_endpoint", is_address_fault=True)


class _Outside(Secure):
    """A connection that leads out of the house, or none."""

    def _new_conn(self) -> Any:
        if self.proxy is not None and not is_outside_by_name(self._tunnel_host or ""):
            raise _inside()
        sock = super()._new_conn()
        if self.proxy is None and not is_outside(sock.getpeername()[0]):
            sock.close()
            raise _inside()
        return sock


def _inside() -> Rejected:
    return Rejected(
        "The endpoint leads inside the house; no request was made.", code="bad_endpoint", is_address_fault=True
    )


class Guarded:
    """The way to real push services, as pywebpush asks a session of `requests`."""

    def __init__(self, connections: int, timeout: float) -> None:
        self._http = Http(WHO, connections=connections, timeout=timeout, is_direct=False, secure=_Outside)

    def post(self, url: str, *, data: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """One notification. Raises what `Http.request` does, and `Rejected` for an address inside the house."""
        host_of(url)
        return self._http.request("POST", url, dict(headers), data)


class ToSandbox:
    """Takes what is meant for a push service to the sandbox: same path, `Host` as the endpoint has it."""

    def __init__(self, sandbox_host: str, connections: int, timeout: float) -> None:
        self._sandbox = sandbox_host
        self._http = Http(WHO, connections=connections, timeout=timeout, is_direct=True)

    def post(self, url: str, *, data: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """One notification, its claims untouched. Raises what `Http.request` does."""
        host = host_of(url)
        there = urlsplit(url)._replace(scheme="http", netloc=self._sandbox).geturl()
        return self._http.request("POST", there, {**headers, "Host": host}, data)
