"""HTTP of texts and notifications: once at most, past nobody's proxy, and never more of an answer than it needs."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

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


def head_of(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read:
        part = connection.recv(4096)
        if not part:
            break
        read += part
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


def test_nobody_there_means_that_nothing_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotSent) as unsent:
        http().request("POST", f"http://127.0.0.1:{port}/", {}, b"x")
    assert unsent.value.code == UNREACHABLE


@pytest.mark.parametrize("url", ["https://", "https:///path", "https://exa mple.com:x/"])
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
        heard.append(head_of(connection))
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
