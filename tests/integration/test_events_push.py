"""What a shop's service worker reports of notifications: it comes from a browser, and from the shop's own origin."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from events.limits import LINK_AT_ONCE
from tests.integration.events_service import CALLS, DELIVERIES, MESSAGE, rows
from warehouse import tokens


def test_a_service_worker_reports_a_click_once(client: httpx.Client, environment: str) -> None:
    url = f"/events/webpush/{tokens.sign('webpush', MESSAGE)}"
    for body in ({"event": "clicked"}, {"event": "clicked"}, {"event": "shown"}):
        answer = client.post(url, content=json.dumps(body), headers={"Content-Type": "text/plain"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    clicks = "select kind, channel, message_id from events.engagement_event"
    assert rows(environment, clicks) == [("clicked", "webpush", MESSAGE)]
    assert sorted(kind for _, _, kind in rows(environment, DELIVERIES)) == ["delivered"]
    assert client.post(url, content=b"[]").status_code == 400


@pytest.mark.parametrize("purpose", ["unsubscribe", "preferences"])
def test_a_token_of_another_purpose_reports_nothing(client: httpx.Client, environment: str, purpose: str) -> None:
    answer = client.post(f"/events/webpush/{tokens.sign(purpose, MESSAGE)}", content=b'{"event": "clicked"}')
    assert answer.status_code == 404
    assert rows(environment, "select 1 from events.engagement_event") == []


@pytest.mark.parametrize("event", [[1], {"a": 1}, None, 7, True])
def test_a_service_workers_report_of_no_known_form_is_refused_and_kept(
    client: httpx.Client, environment: str, event: Any
) -> None:
    url = f"/events/webpush/{tokens.sign('webpush', MESSAGE)}"
    assert client.post(url, content=json.dumps({"event": event})).status_code == 400
    ((_, verdict, reason, _, body),) = rows(environment, CALLS)
    assert (verdict, json.loads(body)) == ("malformed", {"event": event})
    assert 'JSON like {"event": "clicked"} was expected' in reason


def test_a_browser_that_asks_first_may_report_from_the_shops_origin(client: httpx.Client, environment: str) -> None:
    url = f"/events/webpush/{tokens.sign('webpush', MESSAGE)}"
    shop = {"Origin": "https://shop.example.com"}
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    asked = client.options(url, headers={**shop, **asking})
    assert asked.is_success
    assert asked.headers["access-control-allow-origin"] == "*"
    assert asked.headers["access-control-allow-methods"] == "POST"
    assert asked.headers["access-control-allow-headers"].lower() == "content-type"
    assert rows(environment, "select 1 from events.webhook_call") == []
    told = client.post(url, json={"event": "clicked"}, headers=shop)
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (200, "*")
    assert rows(environment, "select kind from events.engagement_event") == [("clicked",)]
    for body in (b"x" * 100_000, b"x"):
        refused = client.post(url, content=body, headers=shop)
        assert (refused.is_error, refused.headers["access-control-allow-origin"]) == (True, "*")
    assert client.options("/events/sendgrid", headers={**shop, **asking}).status_code == 405


def test_a_word_that_no_service_worker_says_is_refused_and_little_of_it_is_kept(
    client: httpx.Client, environment: str
) -> None:
    url = f"/events/webpush/{tokens.sign('webpush', MESSAGE)}"
    invented = ("invented", "ann@example.com", "Clicked", "")
    assert {client.post(url, json={"event": name, "more": "x" * 5_000}).status_code for name in invented} == {400}
    assert client.post(url, content=b"x" * 100_000).status_code == 413
    assert client.post(url, json={"event": "clicked", "more": "x" * 5_000}).status_code == 200
    assert rows(environment, DELIVERIES) == []
    kept = rows(environment, "select verdict, octet_length(body), reason from events.webhook_call order by received_at")
    assert [verdict for verdict, _, _ in kept] == ["malformed"] * 4 + ["oversized", "verified"]
    assert all(size <= 512 for _, size, _ in kept)
    assert not any("ann@" in str(reason) for _, _, reason in kept)


def test_a_link_that_reports_in_a_loop_is_thanked_and_stores_nothing_new(
    client: httpx.Client, environment: str
) -> None:
    url = f"/events/webpush/{tokens.sign('webpush', MESSAGE)}"
    for body in ({"event": "shown"}, {"event": "shown"}, {"event": "?"}):
        statuses = {client.post(url, json=body).status_code for _ in range(LINK_AT_ONCE)}
        assert statuses == ({400} if body["event"] == "?" else {200})
    assert len(rows(environment, CALLS)) <= LINK_AT_ONCE + 1
    assert client.post(url, json={"event": "clicked"}).status_code == 200
    assert rows(environment, "select kind from events.engagement_event") == [("clicked",)], "what is new is heard"
