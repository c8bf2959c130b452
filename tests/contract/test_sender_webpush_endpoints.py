"""Endpoints are what a browser, or somebody posing as one, handed to the shop: bad, slow, gone, inside the house."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

import senders.http
from senders import registry
from senders.contract import UNREACHABLE, NotSent, OutcomeKind
from senders.http import Answer
from senders.webpush import guard, send
from senders.webpush.guard import ToSandbox
from tests.contract.providers import DEFINITION, WebPush
from tests.contract.pushes import NEW, OLD, answering, paths, to
from tests.contract.stub import Recorded, Reply
from tests.contract.test_sender_http import PROXIES, listening, request_of
from warehouse import connections


@pytest.mark.parametrize(
    "endpoint",
    [
        *("http://push.example.net/s/1", "ftp://x/y", "not a url", "", "https://", "https://[abc/s/1"),
        *("https://a..b/s/1", f"https://{'a' * 64}.example.net/s/1", "https://push.example.net:99999/s/1"),
        *("https://pusé.example.net/s/1", "https://a%2e%2eb.example.net/s/1"),
    ],
)
def test_an_endpoint_that_is_no_https_url_is_rejected_and_the_next_one_tried(webpush: WebPush, endpoint: str) -> None:
    (outcome,) = webpush.sender().send([to(endpoint)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "bad_endpoint")
    assert paths(webpush) == []
    (outcome,) = webpush.sender().send([to(endpoint, OLD)]).values()
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert paths(webpush) == ["/s/2"]


def unreachable(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Nobody is there of these hosts."""
    post = ToSandbox.post

    def posted(self: ToSandbox, url: str, **sent: Any) -> Answer:
        if urlsplit(url).netloc in hosts:
            raise NotSent("No connection to the push service.", code=UNREACHABLE)
        return post(self, url, **sent)

    monkeypatch.setattr(ToSandbox, "post", posted)


@pytest.mark.parametrize(
    ("old", "kind", "code"),
    [
        (Reply(201), OutcomeKind.ACCEPTED, None),
        (Reply(410), OutcomeKind.NOT_SENT, UNREACHABLE),
        (Reply(413), OutcomeKind.NOT_SENT, UNREACHABLE),
        (Reply(403), OutcomeKind.NOT_SENT, UNREACHABLE),
        (Reply(500), OutcomeKind.UNKNOWN, "http_500"),
    ],
)
def test_where_the_newest_subscriptions_host_cannot_be_reached_the_older_ones_are_asked(
    webpush: WebPush, monkeypatch: pytest.MonkeyPatch, old: Reply, kind: OutcomeKind, code: str | None
) -> None:
    unreachable(monkeypatch, "push.example.net")
    answering(webpush, {"/s/2": old})
    (outcome,) = webpush.sender().send([to(NEW, OLD)]).values()
    assert (outcome.kind, outcome.error_code) == (kind, code)
    assert paths(webpush) == ["/s/2"]
    assert list(outcome.gone_endpoints) == ([OLD] if old.status == 410 else [])


def test_an_older_subscription_that_cannot_be_reached_keeps_the_message_unsent(
    webpush: WebPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable(monkeypatch, "other.example.org")
    answering(webpush, {"/s/1": Reply(410)})
    (outcome,) = webpush.sender().send([to(NEW, OLD)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.NOT_SENT, UNREACHABLE)
    assert list(outcome.gone_endpoints) == [NEW]


def test_one_person_with_many_slow_push_services_holds_nobody_up(
    webpush: WebPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]
    monkeypatch.setattr(send, "monotonic", lambda: passed[0])

    def slowly(_: Recorded) -> Reply:
        passed[0] += 19
        return Reply(410)

    webpush.stub.answer = slowly
    endpoints = [f"https://push.example.net/s/{number}" for number in range(50)]
    (outcome,) = webpush.sender().send([to(*endpoints)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.NOT_SENT, UNREACHABLE)
    assert list(outcome.gone_endpoints) == endpoints[:4]


def test_whatever_breaks_after_the_call_began_is_in_doubt_and_the_next_subscription_is_not_tried(
    webpush: WebPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(senders.http, "_read", broken)
    (outcome,) = webpush.sender().send([to(NEW, OLD)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, "no_answer")
    assert paths(webpush) == ["/s/1"]


@pytest.mark.parametrize(
    ("address", "is_out"),
    [
        *((address, True) for address in ("8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8")),
        *((address, False) for address in ("10.0.0.5", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.1")),
        *((address, False) for address in ("::1", "fe80::1", "fc00::1", "fec0::1", "::10.0.0.5", "::8.8.8.8")),
        *((address, False) for address in ("64:ff9b::10.0.0.5", "64:ff9b:1::1", "2002:a00:5::1", "::ffff:10.0.0.5")),
        *((address, False) for address in ("224.0.0.1", "ff02::1", "240.0.0.1")),
    ],
)
def test_an_address_that_another_one_holds_is_judged_too(address: str, is_out: bool) -> None:
    assert guard.is_outside(address) is is_out


@pytest.mark.parametrize(("host", "is_out"), [("[2606:4700::1111]", True), ("::1", False), ("[64:ff9b::a00:5]", False)])
def test_behind_a_proxy_ipv6_addresses_are_judged_as_others_are(host: str, is_out: bool) -> None:
    assert guard.is_outside_by_name(host) is is_out


@pytest.mark.parametrize(
    ("host", "is_called"),
    [
        *((host, True) for host in ("push.example.net", "8.8.8.8", "x.push-1.example.net")),
        *((host, False) for host in ("10.0.0.5", "169.254.169.254")),
        *((host, False) for host in ("localhost", "intranet", "a.localhost", "printer.local", "db.internal")),
        *((host, False) for host in ("metadata.google.internal.", "2130706433", "127.1", "0x7f.0.0.1", "10.0.0.0x5")),
        *((host, False) for host in ("%31%30.0.0.5", "0177.0.0.1")),
    ],
)
def test_behind_a_proxy_no_name_or_address_inside_the_house_is_asked_for(
    webpush: WebPush, host: str, is_called: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        heard.append(request_of(connection))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    document = {"password": webpush.connection(webpush.stub.url)["password"]}
    monkeypatch.setenv(connections.variable(connections.WEBPUSH), json.dumps(document))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with listening(refuse) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        sender = registry.build("webpush", connections.WEBPUSH, DEFINITION)
        (outcome,) = sender.send([to(f"https://{host}:8443/s/1")]).values()
    assert outcome.error_code == (UNREACHABLE if is_called else "bad_endpoint")
    assert bool(heard) is is_called


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_endpoint_inside_the_house_is_never_called(
    webpush: WebPush, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"password": webpush.connection(webpush.stub.url)["password"], "extra": {"timeout_seconds": 2}}
    monkeypatch.setenv(connections.variable(connections.WEBPUSH), json.dumps(document))
    endpoint = f"https://{host}:{webpush.stub.url.rsplit(':', 1)[-1]}/s/1"
    (outcome,) = registry.build("webpush", connections.WEBPUSH, DEFINITION).send([to(endpoint)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "bad_endpoint")
    assert paths(webpush) == []
