"""The webhook service: what it takes, what it refuses, and that it keeps everything."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from cli import doctor_warehouse
from cli.checkup import Status
from events.app import create_app
from events.store import Brought, Store, array
from senders.contract import DeliveryEvent, DeliveryKind
from tests.integration.events_service import (
    CALLBACK,
    CALLS,
    CONNECTIONS,
    DELIVERED,
    DELIVERIES,
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
from warehouse.connect import Role, connect
from warehouse.errors import Misconfigured


def test_a_signed_batch_is_kept_raw_and_every_item_becomes_an_event(client: httpx.Client, environment: str) -> None:
    items = [
        item("processed", "a1"),
        item("delivered", "a2"),
        item("open", "a3", sg_machine_open=True),
        item("click", "a4", url="https://shop.example.com/"),
        item("never_seen_before", "a5"),
        "not an object",
        item("unsubscribe", "a6"),
    ]
    assert sendgrid(client, items) == 200
    kinds = [kind for _, _, kind in rows(environment, DELIVERIES)]
    assert sorted(kinds) == ["accepted", "delivered", "unknown", "unknown"]
    engagements = rows(
        environment, "select kind, is_machine, message_id from events.engagement_event order by event_key"
    )
    assert engagements == [("opened", True, MESSAGE), ("clicked", False, MESSAGE), ("unsubscribed", False, MESSAGE)]
    ((provider, verdict, reason, headers, body),) = rows(environment, CALLS)
    assert (provider, verdict, reason, json.loads(body)) == ("sendgrid", "verified", None, items)
    assert set(headers) <= {"content-type", "content-length", "user-agent"} | {
        "x-twilio-email-event-webhook-signature",
        "x-twilio-email-event-webhook-timestamp",
    }


def test_an_unsubscription_at_the_provider_is_a_preference_with_a_hashed_address(
    client: httpx.Client, environment: str
) -> None:
    sendgrid(client, [item("unsubscribe", "u1", email=" ANN@example.com"), item("spamreport", "u2")])
    found = rows(
        environment,
        "select kind, source, address_hash = outbox.address_hash('email', 'ann@example.com') from events.preference"
        " order by event_key",
    )
    assert found == [("unsubscribed", "provider", True), ("unsubscribed", "complaint", True)]


def test_a_report_of_a_message_that_nobody_sent_is_kept_and_marked(client: httpx.Client, environment: str) -> None:
    with psycopg.connect(environment) as owner:
        owner.execute("set session_replication_role = replica")
        owner.execute(
            "insert into outbox.attempt (message_id, attempt_no, channel, worker, opened_at, lease_until, closed_at,"
            " outcome, provider_message_id) values (%s, 1, 'email', 'w', now(), now(), now(), 'accepted', 'X1')",
            [MESSAGE],
        )
    stranger = str(uuid.UUID(int=7))
    items = [
        item("delivered", "by our id"),
        item("open", "by the provider's", message_id=None, sg_message_id="X1.recvd-1"),
        item("delivered", "of nobody", message_id=stranger, sg_message_id="X2.recvd-1"),
        item("click", "without any id", message_id=None),
    ]
    assert sendgrid(client, items) == 200
    told = dict(rows(environment, "select substr(event_key, 10), is_ours from events.report_origin"))
    assert told == {"by our id": True, "by the provider's": True, "of nobody": False, "without any id": False}
    with psycopg.connect(environment) as owner:
        line = doctor_warehouse._reports(owner)
    assert line.status is Status.WARNING
    assert "2 of 4 events of the last 7 days are of no message in this ledger" in line.words
    with connect(Role.WEBHOOK) as webhook, pytest.raises(psycopg.errors.InsufficientPrivilege):
        webhook.execute("select 1 from events.report_origin")


def test_a_replay_is_thanked_and_adds_nothing(client: httpx.Client, environment: str) -> None:
    items = [item("delivered", "a1"), item("open", "a2"), item("spamreport", "a3")]
    assert [sendgrid(client, batch) for batch in (items, items, list(reversed(items)))] == [200, 200, 200]
    counts = "select (select count(*) from events.delivery_event), (select count(*) from events.engagement_event)"
    assert rows(environment, counts) == [(1, 2)]
    assert rows(environment, "select count(*) from events.preference") == [(1,)]
    assert len(rows(environment, CALLS)) == 3, "every call is kept, replays too"


def test_the_same_events_posted_at_once_by_many_are_there_once(client: httpx.Client, environment: str) -> None:
    items = [item("delivered", f"k{number}") for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda turn: sendgrid(client, items if turn % 2 else items[::-1]), range(16)))
    assert statuses == [200] * 16
    assert rows(environment, "select count(*) from events.delivery_event") == [(200,)]


def test_two_calls_with_the_same_events_in_opposite_order_do_not_deadlock(environment: str) -> None:
    now = datetime.now(UTC)
    events = [
        DeliveryEvent(f"k{number:05d}", "sendgrid", "email", DeliveryKind.DELIVERED, now) for number in range(20_000)
    ]
    start = threading.Barrier(2)

    def add(batch: list[DeliveryEvent]) -> None:
        store = Store(size=1)
        store.is_reachable()
        start.wait()
        store.add([Brought(uuid.uuid4(), now, batch)])
        store.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, (events, events[::-1])))
    assert rows(environment, "select count(*) from events.delivery_event") == [(20_000,)]
    assert rows(environment, "select deadlocks from pg_stat_database where datname = current_database()") == [(0,)]


@pytest.mark.parametrize(
    ("post", "status", "verdict"),
    [
        (lambda client: client.post("/events/sendgrid", content=b"[]").status_code, 401, "unsigned"),
        (lambda client: sendgrid(client, [item("open", "x")], key=STRANGER), 403, "wrong_signature"),
        (lambda client: sendgrid(client, [item("open", "x")], age=26 * 3600), 403, "stale"),
        (lambda client: sendgrid(client, [item("open", "x")], age=-600), 403, "stale"),
        (lambda client: sendgrid(client, b'{"event": "open"}'), 400, "malformed"),
        (lambda client: sendgrid(client, b"[{"), 400, "malformed"),
        (
            lambda client: client.post(CALLBACK, content=b"no form", headers={"X-Twilio-Signature": "x"}).status_code,
            400,
            "malformed",
        ),
        (lambda client: sendgrid(client, b"[" * 100_000 + b"]" * 100_000), 400, "malformed"),
        (lambda client: client.post(CALLBACK, data=DELIVERED).status_code, 401, "unsigned"),
        (lambda client: twilio(client, CALLBACK, DELIVERED, token="other").status_code, 403, "wrong_signature"),
        (lambda client: twilio(client, CALLBACK, {"To": "+12025550101"}).status_code, 400, "malformed"),
    ],
)
def test_what_is_not_in_order_is_refused_with_a_stored_reason(
    client: httpx.Client, environment: str, post: Callable[[httpx.Client], int], status: int, verdict: str
) -> None:
    assert post(client) == status
    ((_, kept, reason, _, _),) = rows(environment, CALLS)
    assert kept == verdict
    assert reason
    assert rows(environment, DELIVERIES) == []
    assert rows(environment, "select 1 from events.engagement_event") == []


def test_a_retry_of_a_day_ago_is_still_taken(client: httpx.Client) -> None:
    assert sendgrid(client, [item("open", "x")], age=24 * 3600) == 200


def test_an_altered_body_or_timestamp_is_refused(client: httpx.Client, environment: str) -> None:
    later = {"X-Twilio-Email-Event-Webhook-Timestamp": str(int(time.time()) - 30)}
    assert sendgrid(client, [item("open", "x")], headers=later) == 403
    assert sendgrid(client, [item("open", "x")], headers={"X-Twilio-Email-Event-Webhook-Signature": "AAAA"}) == 403
    assert sendgrid(client, [item("open", "x")], headers={"X-Twilio-Email-Event-Webhook-Signature": "!"}) == 403
    assert verdicts(environment) == ["wrong_signature"] * 3


def test_without_a_key_calls_are_refused_for_now_and_it_is_said_loudly(
    environment: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SENDGRID_DEFAULT", '{"password": "SG.key"}')
    monkeypatch.delenv("AIRFLOW_CONN_TWILIO_DEFAULT")
    with serving(create_app()) as client:
        assert sum("No key to verify" in record.getMessage() for record in caplog.records) == 2
        assert sendgrid(client, [item("open", "x")]) == 503
        assert twilio(client, CALLBACK, DELIVERED).status_code == 503
    assert verdicts(environment) == ["unverifiable"] * 2
    assert rows(environment, "select 1 from events.engagement_event") == []


def test_a_key_that_is_none_stops_the_service(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"password": "SG.key", "extra": {"webhook_public_key": "bm90IGEga2V5"}}
    monkeypatch.setenv("AIRFLOW_CONN_SENDGRID_DEFAULT", json.dumps(document))
    with pytest.raises(Misconfigured, match="webhook_public_key"):
        create_app()


def test_a_hundred_megabytes_are_refused_before_they_are_read(client: httpx.Client, environment: str) -> None:
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port or 80, timeout=20)
    connection.putrequest("POST", "/events/sendgrid")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    sent, chunk = 0, b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with contextlib.suppress(OSError):
        while sent < 100 * 1024 * 1024:
            connection.send(chunk)
            sent += 0x10000
    assert sent < 50 * 1024 * 1024, "the server hangs up long before the end"
    connection.close()
    connection.request("POST", "/events/sendgrid", body=b"", headers={"Content-Length": str(100 * 1024 * 1024)})
    assert connection.getresponse().status == 413
    connection.close()
    kept = rows(environment, "select verdict, reason, octet_length(body) from events.webhook_call order by received_at")
    assert [row[0] for row in kept] == ["oversized", "oversized"]
    assert all(row[1] and row[2] <= 64 * 1024 for row in kept)


def test_of_a_refused_call_only_the_beginning_is_kept(client: httpx.Client, environment: str) -> None:
    assert sendgrid(client, b"[" + b" " * 1_000_000 + b"]", key=STRANGER) == 403
    assert rows(environment, "select octet_length(body) from events.webhook_call") == [(64 * 1024,)]


def test_text_that_the_database_cannot_hold_breaks_nothing(client: httpx.Client, environment: str) -> None:
    strange = b'{"event":"dropped","sg_event_id":"nul\\u0000","reason":"half \\ud83d pair \\u0000"}'
    body = b"[" + strange + b', {"event":"delivered","sg_event_id":"b"}]'
    assert sendgrid(client, body) == 200
    assert len(rows(environment, DELIVERIES)) == 2


def test_who_floods_is_told_to_slow_down_and_others_are_not(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_EVENTS_RATE", "3")
    with serving(create_app()) as flooding:
        answers = [flooding.post("/events/sendgrid", content=b"garbage") for _ in range(40)]
        assert [answer.status_code for answer in answers][:2] == [401, 401]
        assert answers[-1].status_code == 429
        assert answers[-1].headers["retry-after"] == "1"
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(base_url=flooding.base_url, transport=elsewhere) as other:
            assert other.get("/health").status_code == 200
    assert len(rows(environment, CALLS)) < 10


def test_health_says_whether_the_warehouse_answers(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    monkeypatch.setenv("WINBACK_DATABASE_URL", "postgresql://nobody:none@127.0.0.1:1/none")
    with serving(create_app()) as broken:
        assert broken.get("/health").status_code == 503
        assert sendgrid(broken, [item("open", "x")]) == 503
        answer = broken.post(f"/unsubscribe/{tokens.sign('unsubscribe', MESSAGE)}")
        assert (answer.status_code, "try again" in answer.text) == (503, True)
        report = broken.post(f"/events/webpush/{tokens.sign('webpush', MESSAGE)}", json={"event": "clicked"})
        assert (report.status_code, report.headers["access-control-allow-origin"]) == (503, "*")


def test_it_goes_on_after_the_server_closed_its_connections(client: httpx.Client, environment: str) -> None:
    assert sendgrid(client, [item("open", "x1")]) == 200
    with psycopg.connect(environment, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    assert sendgrid(client, [item("open", "x2")]) == 200
    assert rows(environment, "select count(*) from events.engagement_event") == [(2,)]


def test_nothing_personal_and_no_token_is_logged(
    client: httpx.Client, environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):  # the test's own client
        logging.getLogger(name).setLevel(logging.WARNING)
    token = tokens.sign("unsubscribe", MESSAGE)
    sendgrid(client, [item("bounce", "b", reason="<ann@example.com> unknown")])
    sendgrid(client, [item("open", "x")], key=STRANGER)
    twilio(client, "/events/twilio/inbound", STOP)
    client.post(f"/unsubscribe/{token}")
    for secret in ("ann@example.com", "2025550101", token):
        assert secret not in caplog.text
    assert rows(environment, "select count(*) from events.delivery_event where detail like '%ann%'") == [(0,)]


def test_an_array_of_texts_comes_back_as_it_was(environment: str) -> None:
    values = ["a", None, "", '"', "\\", '\\"', ",", "{}", "NULL", "-", "\n\t", "é 😀", " ", '","', "\0,\0-x", "\ud800"]
    with psycopg.connect(environment) as connection:
        ((back,),) = connection.execute("select %s::text[]", [array(values)]).fetchall()
    assert back == [*values[:-2], ",-x", "?"]


def test_a_call_over_which_the_parser_stumbles_is_kept_whole_and_said(
    client: httpx.Client, environment: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(_: Any) -> Any:
        raise AttributeError("ann@example.com")

    monkeypatch.setattr("senders.sendgrid.events.parse", stumble)
    items = [item("delivered", f"k{number}") for number in range(1_000)]
    assert sendgrid(client, items) == 400
    ((_, verdict, reason, _, body),) = rows(environment, CALLS)
    assert (verdict, json.loads(body)) == ("malformed", items)
    assert "the parser stumbled over it (AttributeError)" in reason
    assert "AttributeError" in caplog.text
    assert "ann@" not in caplog.text + reason


def test_business_time_is_the_sandboxes_only_where_the_connection_is_marked(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"X-Sandbox-Clock": "2017-10-01T14:00:00+00:00"}
    times = "select occurred_at::text from events.delivery_event order by received_at"
    with serving(create_app()) as client:
        twilio(client, CALLBACK, DELIVERED, headers=clock)
    document: dict[str, Any] = CONNECTIONS["AIRFLOW_CONN_TWILIO_DEFAULT"]
    sandboxed = {**document, "host": "http://127.0.0.1:1", "extra": {**document["extra"], "sandbox": True}}
    monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", json.dumps(sandboxed))
    with serving(create_app()) as client:
        twilio(client, CALLBACK, {**DELIVERED, "MessageStatus": "sent"}, headers=clock)
    found = [row[0] for row in rows(environment, times)]
    assert not found[0].startswith("2017")
    assert found[1] == "2017-10-01 14:00:00+00"


@pytest.mark.parametrize("command", [["-m", "events"], ["-c", "from cli.main import main; main()", "events", "serve"]])
def test_the_service_runs_as_a_process_of_its_own(environment: str, command: list[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, *command, "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                with contextlib.suppress(httpx.ConnectError):
                    assert client.get("/health").status_code == 200
                    break
                time.sleep(0.1)
            assert sendgrid(client, [item("open", "x")]) == 200
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert len(rows(environment, CALLS)) == 1
