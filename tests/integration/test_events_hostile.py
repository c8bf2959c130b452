"""The webhook service beside a neighbour who means harm: whoever is genuine is still heard, and the disk stays."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date

import httpx
import pytest

from events import calls, patience
from events.app import create_app
from events.limits import ROW_COSTS, SMALL_BODY, Allowance, BusyError, Room, Sample, Throttle
from senders.twilio.events import MOST_FIELDS
from tests.integration.events_service import (
    CALLS,
    MESSAGE,
    STOP,
    STRANGER,
    item,
    rows,
    sendgrid,
    serving,
    twilio,
    verdicts,
)
from warehouse import tokens

KEPT = "select octet_length(body), body_sha256 from events.webhook_call order by received_at"


@contextmanager
def connected(client: httpx.Client, source: str = "127.0.0.2") -> Iterator[socket.socket]:
    target = (client.base_url.host, client.base_url.port or 80)
    with socket.create_connection(target, timeout=20, source_address=(source, 0)) as found:
        yield found


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"POST /events/sendgrid HTTP/1.1\r\nHost: x\r\n", b"GET /health HTTP/1.1\r\n"])
def test_a_connection_that_sends_no_complete_request_is_closed(
    environment: str, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(patience, "SECONDS_TO_SEND", 0.2)
    with serving(create_app()) as client, connected(client) as idle:
        idle.sendall(sent)
        assert is_closed(idle)
        assert client.get("/health").status_code == 200


def test_an_address_has_so_many_connections_and_others_have_theirs(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "CONNECTIONS_PER_ADDRESS", 3)
    with serving(create_app()) as client, ExitStack() as stack:
        held = [stack.enter_context(connected(client)) for _ in range(3)]
        assert is_closed(stack.enter_context(connected(client)))
        proxied = [stack.enter_context(connected(client, "127.0.0.1")) for _ in range(5)]
        for each in (held[0], proxied[-1]):
            each.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert each.recv(100).startswith(b"HTTP/1.1 200")
        held[0].close()
        held[1].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert held[1].recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("told", "address", "trusted"),
    [
        ("10.0.0.0/8, ::1", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("*", "11.1.2.3", True),
        ("", "", False),
    ],
)
def test_who_forwards_the_calls_of_others_is_told_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, told: str, address: str, trusted: bool
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", told)
    assert patience.is_trusted(address) is trusted


def test_large_bodies_share_a_room_and_small_ones_always_have_one() -> None:
    room = Room(200_000)
    with room.share() as first:
        first(100_000)
        first(150_000)
        with room.share() as second, pytest.raises(BusyError):
            second(60_000)
            second(70_000)
    with room.share() as third:
        third(200_000)


def test_without_room_a_large_call_is_asked_to_come_again_and_a_small_one_is_taken(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.app.Room", lambda: Room(100_000))
    with serving(create_app()) as client:
        many = [item("delivered", f"k{number}") for number in range(2_000)]
        assert [sendgrid(client, many), sendgrid(client, many[:10]), sendgrid(client, many)] == [503, 200, 503]
    assert len(rows(environment, KEPT)) == 1


def test_beyond_the_days_room_a_refused_call_leaves_its_hash_and_a_few_bytes(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "REFUSED", Allowance(100_000))
    body = b"[" + b" " * 200_000 + b"]"
    with serving(create_app()) as client:
        assert [sendgrid(client, body, key=STRANGER) for _ in range(3)] == [403] * 3
    whole = hashlib.sha256(body).digest()
    assert rows(environment, KEPT) == [(64 * 1024, whole), (256, whole), (256, whole)]


def test_of_a_flood_beyond_the_days_room_some_are_kept_and_the_others_counted(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "REFUSED", Allowance(0))
    monkeypatch.setattr(calls, "SAMPLE", Sample(2, 1e9))
    with serving(create_app()) as client:
        assert [sendgrid(client, [item("open", f"k{n}")], key=STRANGER) for n in range(5)] == [403] * 5
        assert sendgrid(client, [item("open", "x")]) == 200, "who is genuine is kept whatever the room"
        assert verdicts(environment) == ["wrong_signature"] * 2 + ["verified"]
        monkeypatch.setattr(calls.SAMPLE, "_throttle", Throttle(1))
        assert sendgrid(client, [item("open", "y")], key=STRANGER) == 403
    reasons = [reason for (reason,) in rows(environment, "select reason from events.webhook_call order by received_at")]
    assert reasons[-1] == f"{reasons[0]} 3 more were refused before it, and not kept."


def test_a_call_of_nothing_at_all_takes_room_for_its_row(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "REFUSED", Allowance(2 * ROW_COSTS))
    monkeypatch.setattr(calls, "SAMPLE", Sample(1, 1e9))
    with serving(create_app()) as client:
        for _ in range(5):
            with connected(client, "127.0.0.1") as raw:
                raw.sendall(b"POST /events/sendgrid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert raw.recv(100).startswith(b"HTTP/1.1 401")
    assert verdicts(environment) == ["unsigned"] * 3, "two for the room, one of the sample"


def test_the_room_of_a_day_is_there_again_on_the_next() -> None:
    allowance = Allowance(10)
    first, second = date(2026, 11, 22), date(2026, 11, 23)
    assert [allowance.take(*each) for each in ((8, first), (8, first), (2, first), (8, second))] == [
        True,
        False,
        True,
        True,
    ]


def test_in_a_flood_from_the_same_address_whoever_is_genuine_is_heard(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_EVENTS_RATE", "0.1")
    with serving(create_app()) as client:
        while client.post("/events/sendgrid", content=b"garbage").status_code != 429:
            pass
        kept = len(rows(environment, KEPT))
        assert sendgrid(client, [item("open", "x")], key=STRANGER) == 429
        report = client.post(f"/events/webpush/{tokens.sign('webpush', MESSAGE)}", content=b"{}")
        assert (report.status_code, report.headers["access-control-allow-origin"]) == (429, "*")
        assert client.post("/unsubscribe/forged").status_code == 429
        assert client.get("/health").status_code == 429
        with connected(client, "127.0.0.1") as raw:
            raw.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 429")
        assert len(rows(environment, KEPT)) == kept, "what is throttled costs no room"
        assert sendgrid(client, [item("open", "x")]) == 200
        assert twilio(client, "/events/twilio/inbound", STOP).status_code == 200
        wish = f"/preferences/{tokens.sign('preferences', MESSAGE)}"
        assert client.post(wish, data={"choice": "stop_sms"}).status_code == 200
        assert client.post("/preferences/forged", data={"choice": "stop_sms"}).status_code == 429
        one_click = client.post(
            f"/unsubscribe/{tokens.sign('unsubscribe', MESSAGE)}", data={"List-Unsubscribe": "One-Click"}
        )
        assert one_click.status_code == 200
    found = rows(environment, "select source from events.preference order by source")
    assert found == [("one_click",), ("preference_page",), ("sms_keyword",)]


def test_behind_a_trusted_proxy_each_caller_has_a_rate_of_its_own(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_EVENTS_RATE", "0.1")
    with serving(create_app()) as client:
        flood = {"X-Forwarded-For": "192.0.2.1"}
        while client.get("/health", headers=flood).status_code != 429:
            pass
        assert client.get("/health", headers={"X-Forwarded-For": "192.0.2.2"}).status_code == 200


@pytest.mark.parametrize(
    ("sent", "again"),
    [
        (b"GET /" + b"u" * 16_000, b"u" * 16_000),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ", b"v" * 16_000),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"n" * 16_000, b"n" * 16_000),
        (
            b"GET /health HTTP/1.1\r\nHost: x\r\n",
            b"".join(b"X-%d: %s\r\n" % (each, b"v" * 1_000) for each in range(16)),
        ),
    ],
)
def test_an_address_or_headers_without_end_are_refused(client: httpx.Client, sent: bytes, again: bytes) -> None:
    with connected(client) as endless:
        endless.sendall(sent)
        with suppress(ConnectionError):
            for _ in range(400):  # some 6 MB
                endless.sendall(again)
            pytest.fail("nobody hung up")
    assert client.get("/health").status_code == 200


def test_a_long_head_is_told_so_and_a_long_body_is_no_head(client: httpx.Client) -> None:
    assert client.get("/health", headers={"X-Long": "v" * 30_000}).status_code == 200
    assert client.get("/health", headers={"X-Long": "v" * 40_000}).status_code == 431
    assert client.get("/health?" + "u" * 40_000).status_code == 431
    assert client.get("/health", headers=[("X", "") for _ in range(1_500)]).status_code == 431
    chunks = (b'"' + b"x" * 500 + b'",' for _ in range(1_000))
    assert client.post("/events/sendgrid", content=chunks).status_code == 401


def test_headers_after_a_body_count_too(client: httpx.Client) -> None:
    head = b"POST /unsubscribe/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    with connected(client) as endless:
        endless.sendall(head)
        with suppress(ConnectionError):
            for _ in range(400):
                endless.sendall(b"X-More: " + b"v" * 16_000 + b"\r\n")
            pytest.fail("nobody hung up")


def test_of_headers_only_those_are_kept_that_were_named_and_they_count(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "REFUSED", Allowance(2 * ROW_COSTS + 500))
    invented = {f"X-Twilio-{number}": "v" * 900 for number in range(20)}
    with serving(create_app()) as client:
        for _ in range(3):
            assert client.post("/events/sendgrid", content=b"x", headers={**invented, "User-Agent": "u" * 900}).is_error
    found = [row[3] for row in rows(environment, CALLS)]
    assert found == [{"user-agent": "u" * 200, "content-length": "1"}] * 2 + [{}]


def test_a_strangers_form_is_counted_before_it_is_split_and_no_longer_than_twilios_are(
    client: httpx.Client, environment: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "x"}
    tiny = "&".join(f"a{number}=" for number in range(MOST_FIELDS + 1))
    assert client.post("/events/twilio", content=tiny, headers=headers).status_code == 400
    assert client.post("/events/twilio", content=tiny.rpartition("&")[0], headers=headers).status_code == 403
    long = "Body=" + "x" * SMALL_BODY
    assert client.post("/events/twilio", content=long, headers=headers).status_code == 413
    assert verdicts(environment) == ["malformed", "wrong_signature", "oversized"]
