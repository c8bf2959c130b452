"""HTTP to providers: once at most, past nobody's proxy, and never more of an answer than it needs."""

from __future__ import annotations

import base64
import gzip
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import pytest

import senders.http
from senders import deadlines
from senders.contract import UNREACHABLE, NotSent, OutcomeUnknown
from senders.http import LARGEST_ANSWER, BadUrl, Http
from tests.contract.stub import Reply, Stub
from warehouse.errors import Misconfigured

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def http(*, is_direct: bool = True, timeout: float = 5) -> Http:
    return Http("the provider", connections=1, timeout=timeout, is_direct=is_direct)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a free loopback port that hands every connection to `serve`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                serve(connection)

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def request_of(connection: socket.socket) -> bytes:
    """A request, its body included: whoever closes with a part unread resets the connection, and its answer is lost."""
    read, wanted = b"", 1
    while len(read) < wanted and (part := connection.recv(4096)):
        read += part
        head, end, _ = read.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        wanted = len(head + end) + (int(length[1]) if length else 0) if end else len(read) + 1
    return read


def test_a_kept_connection_that_is_dropped_after_the_request_is_in_doubt_and_not_asked_again(stub: Stub) -> None:
    stub.answer = lambda request: Reply(201) if request.path == "/1" else Reply(trouble="reset")
    asked = http()
    assert asked.request("POST", f"{stub.url}/1", {}, b"one").status_code == 201
    with pytest.raises(OutcomeUnknown) as doubt:
        asked.request("POST", f"{stub.url}/2", {}, b"two")
    assert doubt.value.code == "no_answer"
    assert [request.path for request in stub.requests] == ["/1", "/2"]
    assert stub.connections == 1


def test_a_kept_connection_that_was_closed_while_it_slept_is_not_used(stub: Stub) -> None:
    stub.answer = lambda _: Reply(201, {"Connection": "close"})
    asked = http()
    for number in range(2):
        assert asked.request("POST", f"{stub.url}/{number}", {}, b"x").status_code == 201
    assert (len(stub.requests), stub.connections) == (2, 2)


def test_without_kept_connections_every_call_has_its_own_whatever_the_other_side_offers(stub: Stub) -> None:
    stub.answer = lambda _: Reply(202, {"Connection": "keep-alive"}, b"taken")
    asked = Http("the provider", connections=None, timeout=5, is_direct=True)
    for number in range(3):
        assert asked.request("POST", f"{stub.url}/{number}", {}, b"x").body == b"taken"
    assert (len(stub.requests), stub.connections) == (3, 3)
    assert {request.headers["connection"] for request in stub.requests} == {"close"}


def test_no_answer_in_time_is_in_doubt_and_not_asked_again(stub: Stub) -> None:
    stub.answer = lambda _: Reply(trouble="hang")
    with pytest.raises(OutcomeUnknown) as doubt:
        http(timeout=0.3).request("POST", stub.url, {}, b"x")
    assert doubt.value.code == "timeout"
    assert len(stub.requests) == 1


@pytest.mark.parametrize(("status", "headers"), [(307, {"Location": "/other"}), (503, {"Retry-After": "0"})])
def test_a_redirect_and_a_request_to_wait_are_answers_like_others(
    stub: Stub, status: int, headers: dict[str, str]
) -> None:
    stub.answer = lambda _: Reply(status, headers)
    assert http().request("POST", stub.url, {}, b"x").status_code == status
    assert len(stub.requests) == 1


def test_an_answer_without_end_is_read_to_a_limit_and_left(stub: Stub) -> None:
    stub.answer = lambda _: Reply(201, {}, b"x" * (LARGEST_ANSWER * 3))
    asked = http()
    for _ in range(2):
        assert len(asked.request("POST", stub.url, {}, b"x").body) == LARGEST_ANSWER
    assert stub.connections == 2, "what is left of an answer is not taken for the next one"


def drip(first: bytes, part: bytes, *, head: bool = True) -> Callable[[socket.socket], None]:
    """A server that says `first`, and then `part` again and again, sooner each time than a `recv` would wait."""

    def serve(connection: socket.socket) -> None:
        try:
            if head:
                request_of(connection)
            connection.sendall(first)
            for _ in range(200):
                time.sleep(0.1)
                connection.sendall(part)
        except OSError:
            return

    return serve


CREATED = b"HTTP/1.1 201 Created\r\n"
NOTHING = gzip.compress(b"", mtime=0)  # a time in it would be part of a test's name


@pytest.mark.parametrize(
    ("first", "part"),
    [
        (b"", b"H"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CREATED, b"X"),
        (CREATED + b"Content-Length: 1000\r\n\r\n", b"x"),
        (CREATED + b"Connection: close\r\n\r\n", b"x"),
        (CREATED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: x\r\n"),
        (CREATED + b"Content-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n", NOTHING),
    ],
)
def test_an_answer_that_is_drawn_out_is_cut_and_in_doubt(first: bytes, part: bytes) -> None:
    began = time.monotonic()
    with listening(drip(first, part)) as port, pytest.raises(OutcomeUnknown) as doubt:
        http(timeout=1).request("POST", f"http://127.0.0.1:{port}/", {}, b"x")
    assert doubt.value.code == "timeout"
    assert time.monotonic() - began < 10


def test_a_kept_connection_is_watched_like_a_new_one() -> None:
    def serve(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(CREATED + b"Content-Length: 0\r\n\r\n")
        drip(CREATED, b"X")(connection)

    asked, began = http(timeout=1), time.monotonic()
    with listening(serve) as port:
        assert asked.request("POST", f"http://127.0.0.1:{port}/1", {}, b"").status_code == 201
        with pytest.raises(OutcomeUnknown) as doubt:
            asked.request("POST", f"http://127.0.0.1:{port}/2", {}, b"")
    assert doubt.value.code == "timeout"
    assert time.monotonic() - began < 10


def test_a_proxy_that_draws_out_its_answer_means_that_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with listening(drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(NotSent) as unsent:
            http(is_direct=False, timeout=1).request("POST", "https://api.example.com/v1", {}, b"secret words")
    assert unsent.value.code == UNREACHABLE
    assert time.monotonic() - began < 10


def test_a_name_with_many_addresses_has_no_more_time_than_one_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 443)) for number in range(200)]

    def hang(_: tuple[str, int], seconds: float, **__: object) -> socket.socket:
        tried.append(seconds)
        time.sleep(seconds)
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    monkeypatch.setattr(senders.http, "create_connection", hang)
    with pytest.raises(NotSent) as unsent:
        http(timeout=1).request("POST", "https://push.example.net/", {}, b"x")
    assert unsent.value.code == UNREACHABLE
    assert 1 <= len(tried) <= 3


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_call_that_is_over_leaves_nothing_behind_that_could_cut_the_next_one(stub: Stub) -> None:
    stub.answer = lambda _: Reply(201, {}, b"taken")
    asked = http()
    asked.request("POST", stub.url, {}, b"x")
    before = descriptors()
    for number in range(20):
        assert asked.request("POST", f"{stub.url}/{number}", {}, b"x").body == b"taken"
        assert not deadlines.watch._calls
    assert stub.connections == 1
    assert descriptors() <= before + 3


def test_a_process_that_is_forked_watches_its_own_calls(stub: Stub) -> None:
    stub.answer = lambda _: Reply(201)
    assert http().request("POST", stub.url, {}, b"x").status_code == 201
    with listening(drip(CREATED, b"X")) as port:
        child = os.fork()
        if child == 0:
            code = ""
            try:
                http(timeout=1).request("POST", f"http://127.0.0.1:{port}/", {}, b"x")
            except OutcomeUnknown as doubt:
                code = doubt.code or ""
            finally:
                os._exit(0 if code == "timeout" else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_nobody_is_asked_to_compress_and_what_calls_itself_compressed_is_an_answer_like_others(stub: Stub) -> None:
    stub.answer = lambda _: Reply(410, {"Content-Encoding": "gzip"}, b"no gzip at all")
    answer = http().request("POST", stub.url, {}, b"x")
    assert (answer.status_code, answer.body) == (410, b"no gzip at all")
    assert stub.requests[0].headers["accept-encoding"] == "identity"


def test_the_length_of_a_chunk_can_be_a_lie() -> None:
    def flood(connection: socket.socket) -> None:
        request_of(connection)
        try:
            connection.sendall(CREATED + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n")
            for part in repeat(b"x" * LARGEST_ANSWER, 500):
                connection.sendall(part)
        except OSError:
            return

    with listening(flood) as port:
        assert len(http().request("POST", f"http://127.0.0.1:{port}/", {}, b"x").body) == LARGEST_ANSWER


def test_whatever_breaks_during_a_call_leaves_it_in_doubt(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> bytes:
        raise RuntimeError

    stub.answer = lambda _: Reply(201)
    monkeypatch.setattr(senders.http, "_read", broken)
    with pytest.raises(OutcomeUnknown) as doubt:
        http().request("POST", stub.url, {}, b"x")
    assert doubt.value.code == "no_answer"


def test_a_malformed_header_of_an_answer_puts_no_url_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def serve(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(CREATED + b"no header at all\r\nContent-Length: 0\r\n\r\n")

    with listening(serve) as port:
        assert http().request("POST", f"http://127.0.0.1:{port}/secret", {}, b"x").status_code == 201
    assert "secret" not in caplog.text


def test_nobody_there_means_that_nothing_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotSent) as unsent:
        http().request("POST", f"http://127.0.0.1:{port}/", {}, b"x")
    assert unsent.value.code == UNREACHABLE


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https:///path",
        "https://exa mple.com:x/",
        "https://[abc/x",
        "https://a..b/",
        f"https://{'a' * 64}.com",
    ],
)
def test_what_is_no_url_is_said_to_be_none(url: str) -> None:
    with pytest.raises(BadUrl):
        http().request("POST", url, {}, b"x")


def test_tls_that_is_none_means_that_nothing_left() -> None:
    heard: list[bytes] = []

    def speak_plainly(connection: socket.socket) -> None:
        heard.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(speak_plainly) as port, pytest.raises(NotSent):
        http().request("POST", f"https://127.0.0.1:{port}/", {}, b"secret words")
    assert heard
    assert b"secret words" not in b"".join(heard)


def test_the_environments_proxy_is_asked_with_its_password_and_a_refusal_means_that_nothing_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        heard.append(request_of(connection))
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with listening(refuse) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}".join(["http://us%40er:pa%3Ass@", ""]))
        with pytest.raises(NotSent) as unsent:
            http(is_direct=False).request("POST", "https://api.example.com/v1", {}, b"secret words")
    assert unsent.value.code == UNREACHABLE
    assert heard[0].startswith(b"CONNECT api.example.com:443 ")
    assert base64.b64encode(b"us@er:pa:ss") in heard[0]
    assert b"secret words" not in heard[0]


def test_a_proxy_takes_what_goes_in_the_clear_whole(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.answer = lambda _: Reply(201)
    monkeypatch.setenv("HTTP_PROXY", stub.url.removeprefix("http://"))
    assert http(is_direct=False).request("POST", "http://api.example.com/v1", {}, b"x").status_code == 201
    assert stub.requests[0].path == "http://api.example.com/v1"


def test_no_proxy_and_a_sandbox_go_straight_ahead(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.answer = lambda _: Reply(201)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert http(is_direct=True).request("POST", stub.url, {}, b"x").status_code == 201
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert http(is_direct=False).request("POST", stub.url, {}, b"x").status_code == 201
    monkeypatch.delenv("NO_PROXY")
    with pytest.raises(NotSent):
        http(is_direct=False).request("POST", stub.url, {}, b"x")


def test_a_proxy_of_another_kind_is_named_and_nothing_is_sent(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(Misconfigured, match="HTTPS_PROXY"):
        http(is_direct=False).request("POST", stub.url, {}, b"x")
    assert not stub.requests


@pytest.mark.parametrize(
    "proxy",
    ["http://user:hunt#er@proxy:8080", "http://proxy:port", "http://proxy:99999", "http://a..b:8080", "http://:8080"],
)
def test_a_proxy_that_is_no_url_is_ours_to_mend_and_nothing_is_sent(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(Misconfigured, match="HTTPS_PROXY") as refused:
        http(is_direct=False).request("POST", "https://api.example.com/v1", {}, b"x")
    assert "hunt" not in str(refused.value)


def test_a_proxy_that_answers_nonsense_means_that_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def babble(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(b"220 mail.example.com ESMTP\r\n")

    with listening(babble) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(NotSent):
            http(is_direct=False).request("POST", "https://api.example.com/v1", {}, b"x")
