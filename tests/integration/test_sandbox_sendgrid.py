"""The sandbox against SendGrid's own SDK: what the real one refuses is refused, what it takes comes back signed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import Content, CustomArg, From, Mail, Personalization, Subject, To

from local.sandbox.server import Handle, Sandbox
from tests.integration.sandbox_listener import Listener, listening

NOON = datetime(2017, 10, 1, 16, tzinfo=UTC)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as it:
        yield it


@pytest.fixture
def sandbox(listener: Listener) -> Iterator[Handle]:
    with Sandbox(events_url=listener.url) as handle:
        handle.set_clock(NOON)
        yield handle


def client_of(sandbox: Handle, key: str | None = None) -> SendGridAPIClient:
    connection = sandbox.connections()["sendgrid_default"]
    return SendGridAPIClient(key or connection["password"], host=connection["host"])


def body(count: int = 1, **changes: Any) -> dict[str, Any]:
    people = [
        {"to": [{"email": f"person{number}@example.com"}], "custom_args": {"message_id": str(uuid.UUID(int=number))}}
        for number in range(count)
    ]
    mail = {
        "personalizations": people,
        "from": {"email": "hello@shop.example.com", "name": "Riverside Market"},
        "subject": "We miss you",
        "content": [
            {"type": "text/plain", "value": "Hello https://shop.example.com/a"},
            {"type": "text/html", "value": '<a href="https://shop.example.com/a?x=1&amp;y=2">Hello</a>'},
        ],
        **changes,
    }
    return {name: value for name, value in mail.items() if value is not None}


def post(sandbox: Handle, mail: object, key: str | None = None) -> tuple[int, dict[str, Any]]:
    try:
        answer = client_of(sandbox, key).client.mail.send.post(request_body=mail)
    except HTTPError as error:
        return error.status_code, json.loads(error.body)
    assert answer.body == b""
    return answer.status_code, dict(answer.headers)


def fields(answer: dict[str, Any]) -> list[str]:
    return [error["field"] for error in answer["errors"]]


def test_a_mail_built_with_the_sdk_is_accepted_with_an_empty_body_and_a_message_id(sandbox: Handle) -> None:
    mail = Mail(from_email=From("hello@shop.example.com", "Riverside Market"))
    person = Personalization()
    person.add_to(To("ann@example.com"))
    person.add_custom_arg(CustomArg("message_id", str(uuid.UUID(int=7))))
    mail.add_personalization(person)
    mail.subject = Subject("We miss you")
    mail.add_content(Content("text/plain", "Hello"))
    answer = client_of(sandbox).send(mail)
    assert (answer.status_code, answer.body) == (202, b"")
    (receipt,) = sandbox.receipts()
    assert receipt["message_id"] == str(uuid.UUID(int=7))
    assert receipt["recipient"] == "ann@example.com"
    assert receipt["request_id"] == answer.headers["X-Message-Id"]
    assert datetime.fromisoformat(receipt["accepted_at"]) == NOON


def test_a_wrong_key_gets_401_and_nothing_is_kept(sandbox: Handle) -> None:
    status, answer = post(sandbox, body(), key="SG.wrong")
    assert status == 401
    assert set(answer["errors"][0]) == {"message", "field", "help"}
    assert list(sandbox.receipts()) == []


def test_a_thousand_personalizations_are_taken_and_one_more_is_not(sandbox: Handle) -> None:
    assert post(sandbox, body(1000))[0] == 202
    status, answer = post(sandbox, body(1001))
    assert (status, fields(answer)) == (400, ["personalizations"])
    assert sandbox.status()["accepted"] == {"email": 1000}


LONG = "x" * 10_001
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no personalization": ({"personalizations": []}, "personalizations"),
    "no recipient": ({"personalizations": [{"to": []}]}, "personalizations.0.to"),
    "a malformed address": ({"personalizations": [{"to": [{"email": "ann@"}]}]}, "personalizations.0.to.0.email"),
    "one address in to and cc, whatever its case": (
        {"personalizations": [{"to": [{"email": "ann@example.com"}], "cc": [{"email": "Ann@Example.com"}]}]},
        "personalizations.0",
    ),
    "one address in two personalizations": (
        {"personalizations": [{"to": [{"email": "ann@example.com"}]}, {"to": [{"email": "ANN@example.com"}]}]},
        "personalizations",
    ),
    "a comma in a name": (
        {"personalizations": [{"to": [{"email": "a@example.com", "name": "A, B"}]}]},
        "personalizations.0.to.0.name",
    ),
    "no sender": ({"from": None}, "from.email"),
    "a malformed sender": ({"from": {"email": "shop"}}, "from.email"),
    "no subject": ({"subject": None}, "subject"),
    "an empty subject": ({"subject": ""}, "subject"),
    "no content": ({"content": None}, "content"),
    "empty content": ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
    "HTML before text": (
        {"content": [{"type": "text/html", "value": "a"}, {"type": "text/plain", "value": "a"}]},
        "content",
    ),
    "text twice": ({"content": [{"type": "text/plain", "value": "a"}] * 2}, "content"),
    "an argument that is no string": ({"custom_args": {"n": 1}}, "custom_args.n"),
    "arguments over 10,000 bytes": ({"custom_args": {"n": LONG}}, "custom_args"),
    "arguments that are no object": ({"custom_args": "n"}, "custom_args"),
    "a substitution that is no string": (
        {"personalizations": [{"to": [{"email": "a@example.com"}], "substitutions": {"-n-": 1}}]},
        "personalizations.0.substitutions.-n-",
    ),
    "substitutions over 10,000 bytes": (
        {"personalizations": [{"to": [{"email": "a@example.com"}], "substitutions": {"-n-": LONG}}]},
        "personalizations.0.substitutions",
    ),
    "substitutions with a dynamic template": (
        {
            "personalizations": [{"to": [{"email": "a@example.com"}], "substitutions": {"-n-": "1"}}],
            "template_id": "d-1",
        },
        "personalizations.0.substitutions",
    ),
    "dynamic data without a dynamic template": (
        {"personalizations": [{"to": [{"email": "a@example.com"}], "dynamic_template_data": {"n": 1}}]},
        "personalizations.0.dynamic_template_data",
    ),
    "a reserved header": ({"headers": {"Reply-To": "a@example.com"}}, "headers.Reply-To"),
    "eleven categories": ({"categories": [str(number) for number in range(11)]}, "categories"),
    "a category twice": ({"categories": ["a", "a"]}, "categories"),
    "a category of 256 characters": ({"categories": ["x" * 256]}, "categories"),
    "a schedule over 72 hours ahead": ({"send_at": int((NOON + timedelta(hours=73)).timestamp())}, "send_at"),
    "an unknown property": ({"recipients": []}, "recipients"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(sandbox: Handle, case: str) -> None:
    changes, field = REFUSED[case]
    status, answer = post(sandbox, body(**changes))
    assert status == 400
    assert field in fields(answer)
    assert list(sandbox.receipts()) == []


def test_one_bad_address_refuses_the_whole_request_and_names_its_place(sandbox: Handle) -> None:
    mail = body(10)
    mail["personalizations"][6]["to"][0]["email"] = "not an address"
    status, answer = post(sandbox, mail)
    assert (status, fields(answer)) == (400, ["personalizations.6.to.0.email"])
    assert list(sandbox.receipts()) == []


def test_a_dynamic_template_needs_neither_subject_nor_content(sandbox: Handle) -> None:
    mail = body(template_id="d-0123456789abcdef0123456789abcdef", subject=None, content=None)
    assert post(sandbox, mail)[0] == 202


def test_sandbox_mode_checks_and_keeps_nothing(sandbox: Handle) -> None:
    assert post(sandbox, body(mail_settings={"sandbox_mode": {"enable": True}}))[0] == 200
    assert list(sandbox.receipts()) == []


def test_the_scopes_of_the_key_can_be_read(sandbox: Handle) -> None:
    answer = client_of(sandbox).client.scopes.get()
    assert "mail.send" in json.loads(answer.body)["scopes"]


def test_every_webhook_bears_a_signature_that_sendgrids_own_validator_accepts(
    sandbox: Handle, listener: Listener
) -> None:
    post(sandbox, body(50))
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    validator = EventWebhook(sandbox.connections()["sendgrid_default"]["extra"]["webhook_public_key"])
    calls = listener.at("/events/sendgrid")
    assert calls
    for call in calls:
        signature = call.headers["X-Twilio-Email-Event-Webhook-Signature"]
        timestamp = call.headers["X-Twilio-Email-Event-Webhook-Timestamp"]
        assert validator.verify_signature(call.body.decode(), signature, timestamp)
        assert not validator.verify_signature(call.body.decode() + " ", signature, timestamp)
        assert abs(int(timestamp) - datetime.now(UTC).timestamp()) < 60


def test_events_carry_our_id_at_the_top_and_simulated_times_and_come_only_when_due(
    sandbox: Handle, listener: Listener
) -> None:
    post(sandbox, body(300))
    sandbox.set_clock(NOON + timedelta(minutes=1))
    sandbox.drain()
    early = listener.mail_events()
    assert {event["event"] for event in early} >= {"processed", "delivered"}
    assert "click" not in {event["event"] for event in early}
    assert all(NOON.timestamp() <= event["timestamp"] <= NOON.timestamp() + 60 for event in early)
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    events = listener.mail_events()
    assert {event["message_id"] for event in events} == {str(uuid.UUID(int=number)) for number in range(300)}
    assert len({event["sg_event_id"] for event in events}) == len(events)
    clicks = [event for event in events if event["event"] == "click"]
    assert clicks
    assert all(event["url"] == "https://shop.example.com/a?x=1&y=2" for event in clicks)


def test_people_behave_at_the_rates_that_were_promised(sandbox: Handle, listener: Listener) -> None:
    for start in range(0, 6000, 1000):
        mail = body(1000, tracking_settings={"subscription_tracking": {"enable": True}})
        for number, person in enumerate(mail["personalizations"]):
            person["to"][0]["email"] = f"rate{start + number}@example.com"
        assert post(sandbox, mail)[0] == 202
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    share = {kind: count / 6000 for kind, count in listener.kinds().items()}
    assert share["processed"] == 1
    assert share["delivered"] == pytest.approx(0.97, abs=0.01)
    assert share["bounce"] == pytest.approx(0.01, abs=0.005)
    assert share["open"] == pytest.approx(0.35, abs=0.03)
    assert share["machine open"] == pytest.approx(0.20, abs=0.02)
    assert share["click"] == pytest.approx(0.12, abs=0.02)
    assert share["unsubscribe"] == pytest.approx(0.005, abs=0.004)


def test_the_same_seed_gives_the_same_fates_in_any_order() -> None:
    outcomes = []
    for order in (1, -1):
        with listening() as listener, Sandbox(events_url=listener.url, seed=5) as sandbox:
            sandbox.set_clock(NOON)
            for start in (0, 100)[::order]:
                mail = body(100)
                for number, person in enumerate(mail["personalizations"]):
                    person["to"][0]["email"] = f"order{start + number}@example.com"
                post(sandbox, mail)
            sandbox.set_clock(NOON + timedelta(days=1))
            sandbox.drain()
            events = [(event["email"], event["event"], event["timestamp"]) for event in listener.mail_events()]
            outcomes.append(sorted(events))
    assert outcomes[0] == outcomes[1]


def test_without_open_tracking_nobody_is_seen_to_open(sandbox: Handle, listener: Listener) -> None:
    post(
        sandbox, body(200, tracking_settings={"open_tracking": {"enable": False}, "click_tracking": {"enable": False}})
    )
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    assert set(listener.kinds()) <= {"processed", "deferred", "delivered", "bounce", "blocked", "spamreport"}


def test_who_unsubscribes_presses_the_one_click_button_where_sendgrid_does_not_track_it(
    sandbox: Handle, listener: Listener
) -> None:
    sandbox.set_habits(people={"person0@example.com": {"unsubscribed": 1, "bounced": 0, "blocked": 0}})
    mail = body(1)
    mail["personalizations"][0]["headers"] = {
        "List-Unsubscribe": f"<{listener.url}/unsubscribe/token>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    post(sandbox, mail)
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    (call,) = listener.at("/unsubscribe/token")
    assert call.body == b"List-Unsubscribe=One-Click"
    assert NOON < datetime.fromisoformat(call.headers["X-Sandbox-Clock"]) < NOON + timedelta(days=1)
    assert "unsubscribe" not in listener.kinds()


def test_an_address_that_bounced_is_dropped_from_then_on(sandbox: Handle, listener: Listener) -> None:
    sandbox.set_habits(people={"person0@example.com": {"bounced": 1}})
    post(sandbox, body(1))
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    post(sandbox, body(1))
    sandbox.set_clock(NOON + timedelta(days=2))
    sandbox.drain()
    assert listener.kinds() == {"processed": 1, "bounce": 1, "dropped": 1}
    assert listener.mail_events()[-1]["reason"] == "Bounced Address"


def test_a_webhook_that_was_refused_comes_again_until_it_is_taken(sandbox: Handle, listener: Listener) -> None:
    listener.refuse_next = 3
    post(sandbox, body(5))
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain(30)
    assert listener.kinds()["processed"] == 5
    assert sandbox.status()["pending"] == 0
