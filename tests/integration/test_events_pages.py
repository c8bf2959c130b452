"""The pages people see: nothing by looking, everything by one click, and always a way back."""

from __future__ import annotations

import uuid

import httpx
import psycopg
import pytest

from events.limits import LINK_AT_ONCE
from tests.integration.events_service import MESSAGE, PREFERENCES, rows
from warehouse import tokens


def unsubscribe() -> str:
    return f"/unsubscribe/{tokens.sign('unsubscribe', MESSAGE)}"


def preferences() -> str:
    return f"/preferences/{tokens.sign('preferences', MESSAGE)}"


def test_one_click_unsubscribes_without_a_redirect_or_a_question(client: httpx.Client, environment: str) -> None:
    answer = client.post(unsubscribe(), data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert rows(environment, PREFERENCES) == [("email", "unsubscribed", "one_click", MESSAGE)]


def test_one_click_may_come_as_multipart_form_data(client: httpx.Client, environment: str) -> None:
    answer = client.post(unsubscribe(), files={"List-Unsubscribe": (None, "One-Click")})
    assert answer.status_code == 200
    assert rows(environment, PREFERENCES) == [("email", "unsubscribed", "one_click", MESSAGE)]


def test_one_click_again_says_the_same_and_changes_nothing(client: httpx.Client, environment: str) -> None:
    answers = [client.post(unsubscribe(), data={"List-Unsubscribe": "One-Click"}) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert {row[1] for row in rows(environment, PREFERENCES)} == {"unsubscribed"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_at_the_link_unsubscribes_nobody(client: httpx.Client, environment: str, method: str) -> None:
    for url in (unsubscribe(), preferences()):
        assert client.request(method, url).status_code == 200
    assert rows(environment, PREFERENCES) == []


def test_the_page_asks_and_its_button_unsubscribes(client: httpx.Client, environment: str) -> None:
    page = client.get(unsubscribe()).text
    assert '<form method="post">' in page
    assert "Unsubscribe</button>" in page
    answer = client.post(unsubscribe())
    assert "You are unsubscribed" in answer.text
    assert rows(environment, PREFERENCES) == [("email", "unsubscribed", "preference_page", MESSAGE)]


def test_the_pages_lead_to_each_other(client: httpx.Client) -> None:
    page = client.post(unsubscribe()).text
    link = page.split('href="')[1].split('"')[0]
    assert link.startswith("../preferences/")
    assert "Pause for 30 days" in client.get(link.removeprefix("..")).text


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("stop_email", [("email", "unsubscribed")]),
        ("stop_sms", [("sms", "unsubscribed")]),
        ("stop_webpush", [("webpush", "unsubscribed")]),
        ("start_email", [("email", "resubscribed")]),
        ("start_sms", [("sms", "resubscribed")]),
        ("pause_30", [("email", "paused"), ("sms", "paused"), ("webpush", "paused")]),
    ],
)
def test_a_choice_is_kept(client: httpx.Client, environment: str, choice: str, expected: list[tuple[str, str]]) -> None:
    answer = client.post(preferences(), data={"choice": choice})
    assert answer.status_code == 200
    assert [row[:2] for row in rows(environment, PREFERENCES)] == expected


@pytest.mark.parametrize("days", [30, 90])
def test_a_pause_ends_by_itself(client: httpx.Client, environment: str, days: int) -> None:
    client.post(preferences(), data={"choice": f"pause_{days}"})
    found = rows(environment, "select distinct until - occurred_at from events.preference")
    assert [row[0].days for row in found] == [days]


def test_stop_start_and_stop_again_are_three_wishes(client: httpx.Client, environment: str) -> None:
    for choice in ("stop_email", "start_email", "stop_email"):
        client.post(preferences(), data={"choice": choice})
    assert [row[1] for row in rows(environment, PREFERENCES)] == ["unsubscribed", "resubscribed", "unsubscribed"]


@pytest.mark.parametrize(
    "body", [b"", b"choice=", b"choice=stop_fax", b"choice=stop", b"choice=burn_email", b"\xff\xfe"]
)
def test_an_unknown_choice_changes_nothing(client: httpx.Client, environment: str, body: bytes) -> None:
    answer = client.post(preferences(), content=body)
    assert answer.status_code == 400
    assert "Please choose" in answer.text
    assert rows(environment, PREFERENCES) == []


def test_a_token_that_was_altered_or_is_for_something_else_leads_nowhere(
    client: httpx.Client, environment: str
) -> None:
    altered = unsubscribe()[:-1] + ("a" if unsubscribe()[-1] != "a" else "b")
    crossed = f"/unsubscribe/{tokens.sign('preferences', MESSAGE)}"
    for url in (altered, crossed, "/unsubscribe/x", "/preferences/x", "/preferences/" + "y" * 5000):
        for method in ("GET", "POST"):
            answer = client.request(method, url)
            assert (answer.status_code, "This link does not work" in answer.text) == (404, True)
    assert rows(environment, PREFERENCES) == []


def test_an_unsubscription_counts_whatever_comes_with_it(client: httpx.Client, environment: str) -> None:
    assert client.post(unsubscribe(), content=b"x" * 1_000_000).status_code == 200
    assert len(rows(environment, PREFERENCES)) == 1


def test_pages_load_nothing_from_anywhere_and_are_for_nobody_elses_eyes(client: httpx.Client) -> None:
    for url in (unsubscribe(), preferences(), "/preferences/x"):
        answer = client.get(url)
        assert "http://" not in answer.text.replace("http-equiv", "")
        assert "https://" not in answer.text
        assert "<script" not in answer.text
        assert '<html lang="en">' in answer.text
        assert 'name="viewport"' in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "noindex" in answer.headers["x-robots-tag"]


KEPT = "select (select count(*) from events.preference), count(*), max(octet_length(body)) from events.webhook_call"


def test_a_link_that_is_pressed_in_a_loop_is_answered_and_stores_nothing_new(
    client: httpx.Client, environment: str
) -> None:
    body = b"List-Unsubscribe=One-Click&" + b"x" * 60_000
    answers = [client.post(unsubscribe(), content=body) for _ in range(3 * LINK_AT_ONCE)]
    assert {(answer.status_code, "You are unsubscribed" in answer.text) for answer in answers} == {(200, True)}
    ((wishes, calls, largest),) = rows(environment, KEPT)
    assert wishes == calls
    assert LINK_AT_ONCE <= wishes <= LINK_AT_ONCE + 2
    assert largest <= 512
    other = f"/unsubscribe/{tokens.sign('unsubscribe', uuid.UUID(int=7))}"
    assert client.post(other).status_code == 200
    assert rows(environment, KEPT)[0][0] == wishes + 1, "each message has a bucket of its own"


def test_however_often_a_link_is_pressed_a_stop_is_heard_and_nothing_is_said_that_is_not_so(
    client: httpx.Client, environment: str
) -> None:
    def choose(choice: str) -> tuple[int, bool]:
        answer = client.post(preferences(), data={"choice": choice})
        return answer.status_code, "was not saved" in answer.text

    for _ in range(LINK_AT_ONCE):
        assert choose("start_email") == (200, False)
    assert choose("start_email") == (200, False), "it is stored already"
    assert choose("stop_email") == (200, False)
    assert [choose(other) for other in ("start_email", "pause_30")] == [(429, True)] * 2
    assert client.post(unsubscribe()).status_code == 200
    assert choose("stop_sms") == (200, False)
    found = [row[:2] for row in rows(environment, PREFERENCES)]
    assert found == [("email", "resubscribed")] * LINK_AT_ONCE + [("email", "unsubscribed"), ("sms", "unsubscribed")]


def test_a_stop_that_could_not_be_stored_is_no_repetition(
    client: httpx.Client, environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise psycopg.OperationalError

    for _ in range(LINK_AT_ONCE):
        client.post(unsubscribe())
    with monkeypatch.context() as patched:
        patched.setattr("events.repeats.REPEATED_WITHIN", -1)
        patched.setattr("events.calls.keep", broken)
        assert client.post(unsubscribe()).status_code == 503
    assert client.post(unsubscribe()).status_code == 200
    assert len(rows(environment, PREFERENCES)) == LINK_AT_ONCE + 1


def test_a_while_later_the_same_stop_is_stored_again(
    client: httpx.Client, environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.repeats.REPEATED_WITHIN", -1)
    for _ in range(LINK_AT_ONCE + 3):
        client.post(unsubscribe())
    assert len(rows(environment, PREFERENCES)) == LINK_AT_ONCE + 3
