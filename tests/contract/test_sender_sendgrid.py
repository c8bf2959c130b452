"""What is SendGrid's own: its payload, its limits, and what its answers mean."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from senders import registry
from senders.contract import EMAIL, TEMPLATE_REFUSED, Message, NotSent, OutcomeKind, TemplateRefused
from senders.sendgrid import payload
from senders.sendgrid.payload import build
from senders.sendgrid.send import settings_of
from tests.contract.providers import API_KEY, DEFINITION, TEMPLATE, SendGrid, message
from tests.contract.stub import Recorded, Reply, Stub, running
from warehouse import connections
from warehouse.errors import Misconfigured

SETTINGS = settings_of(DEFINITION)


@pytest.fixture
def sendgrid(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> SendGrid:
    made = SendGrid(stub, monkeypatch.setenv)
    made.behaves("accepts")
    return made


def replying(provider: SendGrid, *replies: Reply) -> None:
    """Answers with each reply once and with the last one from then on."""
    left = list(replies)
    provider.stub.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]


def substituted(request: Mapping[str, Any], number: int, kind: str, *, backwards: bool = False) -> str:
    """What SendGrid makes of a part for one person: tag after tag, over what it already replaced."""
    text = next(part["value"] for part in request["content"] if part["type"] == kind)
    items = list(request["personalizations"][number]["substitutions"].items())
    for key, found in reversed(items) if backwards else items:
        text = text.replace(key, found)
    return text


def test_the_request_says_who_writes_what_and_how_to_leave() -> None:
    request = build([message(1, EMAIL), message(2, EMAIL)], SETTINGS)
    first = request["personalizations"][0]
    assert request["from"] == {"email": "hello@shop.example.com", "name": "Riverside Market"}
    assert request["reply_to"] == {"email": "care@shop.example.com"}
    assert first["to"] == [{"email": "Person1@Example.com"}]
    assert first["subject"] == "We miss you, Zephyrine"
    assert first["headers"] == {
        "List-Unsubscribe": "<https://events.example.com/unsubscribe/token>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert [part["type"] for part in request["content"]] == ["text/plain", "text/html"]


def test_custom_arguments_and_categories_hold_nothing_personal() -> None:
    request = build([message(1, EMAIL), message(2, EMAIL)], SETTINGS)
    assert request["categories"] == ["winback", "day30"]
    assert [one["custom_args"] for one in request["personalizations"]] == [
        {"message_id": str(message(number, EMAIL).message_id)} for number in (1, 2)
    ]


def test_a_step_with_the_campaigns_name_gives_one_category() -> None:
    both = replace(message(1, EMAIL), campaign="winback", step="winback")
    assert build([both], SETTINGS)["categories"] == ["winback"], "SendGrid takes none twice"


HOSTILE = ["<b>&\"'", "-wb.html.step_url-", "-wb.text.first_name-", "{{ step_url }}", "-wb1", "Ünï 🎉", "a\r\nBcc: x"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_value_is_escaped_in_html_plain_in_text_and_never_taken_for_a_tag(name: str, backwards: bool) -> None:
    people = [message(1, EMAIL), replace(message(2, EMAIL), fields={**message(2, EMAIL).fields, "first_name": name})]
    together, alone = build(people, SETTINGS), build(people[1:], SETTINGS)
    for kind, part in (("text/plain", 0), ("text/html", 1)):
        assert substituted(together, 1, kind, backwards=backwards) == alone["content"][part]["value"]
    assert substituted(together, 1, "text/plain") == f"Hello {name}: {people[1].fields['step_url']}"
    assert "<b>" not in substituted(together, 1, "text/html")
    assert "\n" not in together["personalizations"][1]["subject"]


def test_a_message_whose_substitutions_are_too_long_goes_alone_and_filled_in(sendgrid: SendGrid) -> None:
    long = {**message(2, EMAIL).fields, "first_name": "é" * 3000}
    messages = [message(1, EMAIL), replace(message(2, EMAIL), fields=long), message(3, EMAIL)]
    outcomes = sendgrid.sender().send(messages)
    assert {outcome.kind for outcome in outcomes.values()} == {OutcomeKind.ACCEPTED}
    requests = [request.json() for request in sendgrid.stub.requests]
    assert sorted(len(request["personalizations"]) for request in requests) == [1, 2]
    for person in (one for request in requests for one in request["personalizations"]):
        size = sum(len(f"{key}{text}".encode()) for key, text in person.get("substitutions", {}).items())
        assert size <= payload.SUBSTITUTION_BYTES


def test_one_address_stands_once_in_a_request_whatever_its_capitals(sendgrid: SendGrid) -> None:
    twin = replace(message(9, EMAIL), recipient=replace(message(1, EMAIL).recipient, email=" person1@example.COM"))
    sendgrid.sender().send([message(1, EMAIL), twin, message(2, EMAIL)])
    tos = [[one["to"][0]["email"].lower() for one in r.json()["personalizations"]] for r in sendgrid.stub.requests]
    assert sorted(tos) == [["person1@example.com"], ["person1@example.com", "person2@example.com"]]


def test_steps_and_templates_do_not_share_a_request(sendgrid: SendGrid) -> None:
    other = replace(message(2, EMAIL), step="day60", template=replace(TEMPLATE, template_hash="6" * 64, subject="10%"))
    sendgrid.sender().send([message(1, EMAIL), other, message(3, EMAIL)])
    assert sorted(len(request.json()["personalizations"]) for request in sendgrid.stub.requests) == [1, 2]


def test_a_hundred_messages_are_one_request_and_one_bad_one_costs_few_more(sendgrid: SendGrid) -> None:
    messages = [message(number, EMAIL) for number in range(100)]
    sendgrid.sender().send(messages)
    assert len(sendgrid.stub.requests) == 1
    sendgrid.behaves("refuses", bad=42)
    sendgrid.sender().send(messages)
    assert len(sendgrid.stub.requests) <= 1 + 15


def test_a_request_that_is_too_large_is_halved(sendgrid: SendGrid) -> None:
    def answer(request: Recorded) -> Reply:
        return sendgrid.ok(request) if len(sendgrid.ids(request)) <= 3 else Reply(413)

    sendgrid.stub.answer = answer
    outcomes = sendgrid.sender().send([message(number, EMAIL) for number in range(10)])
    assert {outcome.kind for outcome in outcomes.values()} == {OutcomeKind.ACCEPTED}


def test_the_waiting_time_may_come_as_a_reset_time(sendgrid: SendGrid) -> None:
    replying(sendgrid, Reply(429, {"X-RateLimit-Reset": str(int(time.time()) + 40)}))
    (outcome,) = sendgrid.sender().send([message(1, EMAIL)]).values()
    assert outcome.retry_after is not None
    assert timedelta(seconds=30) < outcome.retry_after <= timedelta(seconds=41)


def test_after_a_429_the_rest_of_the_batch_is_not_even_tried(sendgrid: SendGrid) -> None:
    sendgrid.connect(sendgrid.stub.url, batch_size=2)
    replying(sendgrid, Reply(202, {"X-Message-Id": "one"}), Reply(429, {"Retry-After": "7"}))
    outcomes = sendgrid.sender().send([message(number, EMAIL) for number in range(10)])
    assert len(sendgrid.stub.requests) == 2
    assert sorted(outcome.kind for outcome in outcomes.values()) == ["accepted"] * 2 + ["not_sent"] * 8


@pytest.mark.parametrize("status", [401, 403, 404, 307])
def test_a_refusal_of_the_account_is_no_refusal_of_a_message(sendgrid: SendGrid, status: int) -> None:
    replying(sendgrid, Reply(status, {"Location": "https://elsewhere.example"}, b'{"errors": [{"message": "no"}]}'))
    with pytest.raises(Misconfigured):
        sendgrid.sender().send([message(1, EMAIL)])


def test_a_redirect_is_not_followed_with_the_key(sendgrid: SendGrid) -> None:
    with running() as elsewhere:
        replying(sendgrid, Reply(302, {"Location": f"{elsewhere.url}/v3/mail/send"}))
        with pytest.raises(Misconfigured):
            sendgrid.sender().send([message(1, EMAIL)])
        assert elsewhere.requests == []


def test_a_sender_address_that_is_refused_rejects_nobody_and_is_not_bisected(sendgrid: SendGrid) -> None:
    error = {"field": "from.email", "message": "The from email does not contain a valid address."}
    replying(sendgrid, Reply(400, {}, json.dumps({"errors": [error]}).encode()))
    with pytest.raises(Misconfigured, match=r"from\.email"):
        sendgrid.sender().send([message(number, EMAIL) for number in range(8)])
    assert len(sendgrid.stub.requests) == 1


def refusal(words: str = "Bad Request", field: str | None = None) -> Reply:
    return Reply(400, {}, json.dumps({"errors": [{"message": words, "field": field}]}).encode())


@pytest.mark.parametrize("field", ["content.0.value", "subject", "headers", "from.email", "reply_to", "send_at"])
def test_a_field_outside_the_recipients_is_the_campaigns_fault_at_once(sendgrid: SendGrid, field: str) -> None:
    replying(sendgrid, refusal("This is wrong.", field))
    with pytest.raises(Misconfigured, match=field.partition(".")[0]) as caught:
        sendgrid.sender().send([message(number, EMAIL) for number in range(8)])
    assert len(sendgrid.stub.requests) == 1
    assert isinstance(caught.value, TemplateRefused) is (field != "from.email"), "only the sender is everybody's"


@pytest.mark.parametrize(
    "field", [None, "personalizations.0.substitutions", "personalizations.0.headers", "reply_to", "template_id"]
)
def test_what_one_message_cannot_tell_from_its_templates_fault_stops_no_more_than_that_template(
    sendgrid: SendGrid, field: str | None
) -> None:
    replying(sendgrid, refusal("This is wrong.", field))
    with pytest.raises(TemplateRefused, match="planned already keep the old"):
        sendgrid.sender().send([message(1, EMAIL)])


@pytest.mark.parametrize(
    "answer",
    [
        Reply(413),
        *(
            Reply(400, {}, json.dumps({"errors": [{"message": "This is wrong.", "field": field}]}).encode())
            for field in ("content.0.value", "subject", "personalizations.0.subject")
        ),
    ],
    ids=["413", "content", "subject", "own subject"],
)
def test_a_lone_message_is_rejected_for_its_own_size_content_or_subject(sendgrid: SendGrid, answer: Reply) -> None:
    replying(sendgrid, answer)
    assert one(sendgrid.sender().send([message(1, EMAIL)])).kind is OutcomeKind.REJECTED


def test_what_is_said_to_two_lone_messages_in_a_row_is_the_templates(sendgrid: SendGrid) -> None:
    sendgrid.stub.answer = lambda _: refusal("The content is wrong.", "content.0.value")
    sender = sendgrid.sender()
    assert one(sender.send([message(1, EMAIL)])).kind is OutcomeKind.REJECTED
    for number in (2, 3):
        with pytest.raises(TemplateRefused):
            sender.send([message(number, EMAIL)])


def test_a_long_message_that_goes_alone_is_judged_after_the_others(sendgrid: SendGrid) -> None:
    long = replace(message(2, EMAIL), fields={**message(2, EMAIL).fields, "first_name": "é" * 3000})
    sendgrid.stub.answer = lambda request: (
        refusal() if long.message_id in sendgrid.ids(request) else sendgrid.ok(request)
    )
    outcomes = sendgrid.sender().send([message(1, EMAIL), long, message(3, EMAIL)])
    assert [key for key, outcome in outcomes.items() if outcome.kind is OutcomeKind.REJECTED] == [long.message_id]


def test_one_refused_template_does_not_hold_up_another_of_the_same_batch(sendgrid: SendGrid) -> None:
    other = replace(message(2, EMAIL), step="day60", template=replace(TEMPLATE, template_hash="6" * 64, subject="10%"))
    sendgrid.stub.answer = lambda request: (
        refusal() if other.message_id not in sendgrid.ids(request) else sendgrid.ok(request)
    )
    outcomes = sendgrid.sender().send([message(1, EMAIL), message(3, EMAIL), other])
    assert outcomes[other.message_id].kind is OutcomeKind.ACCEPTED
    assert {outcomes[message(n, EMAIL).message_id].error_code for n in (1, 3)} == {TEMPLATE_REFUSED}


@pytest.mark.parametrize("field", [None, "personalizations.0.headers", "personalizations.0.subject"])
@pytest.mark.parametrize("size", [2, 5, 100])
def test_a_broken_template_rejects_nobody(sendgrid: SendGrid, size: int, field: str | None) -> None:
    replying(sendgrid, refusal("Your template is wrong.", field))
    with pytest.raises(TemplateRefused, match="Your template is wrong"):
        sendgrid.sender().send([message(number, EMAIL) for number in range(size)])
    assert len(sendgrid.stub.requests) < 30, "what refuses everything is not asked two hundred times"


def test_a_template_that_is_too_large_for_a_request_of_one_rejects_nobody(sendgrid: SendGrid) -> None:
    replying(sendgrid, Reply(413))
    with pytest.raises(TemplateRefused, match="too large"):
        sendgrid.sender().send([message(number, EMAIL) for number in range(4)])


def test_a_refusal_that_names_nobody_is_the_messages_own_where_others_are_taken(sendgrid: SendGrid) -> None:
    bad = {message(number, EMAIL).message_id for number in (3, 4, 70)}
    sendgrid.stub.answer = lambda request: refusal() if bad & {*sendgrid.ids(request)} else sendgrid.ok(request)
    outcomes = sendgrid.sender().send([message(number, EMAIL) for number in range(100)])
    assert {key for key, outcome in outcomes.items() if outcome.kind is OutcomeKind.REJECTED} == bad
    assert {outcomes[key].kind for key in outcomes.keys() - bad} == {OutcomeKind.ACCEPTED}


def test_one_odd_message_after_a_batch_that_was_taken_is_rejected_alone(sendgrid: SendGrid) -> None:
    sender = sendgrid.sender()
    sender.send([message(number, EMAIL) for number in range(3)])
    replying(sendgrid, refusal())
    assert one(sender.send([message(9, EMAIL)])).kind is OutcomeKind.REJECTED


def test_recipients_that_are_all_bad_are_rejected_each(sendgrid: SendGrid) -> None:
    replying(sendgrid, refusal("Does not contain a valid address.", "personalizations.0.to.0.email"))
    outcomes = sendgrid.sender().send([message(number, EMAIL) for number in range(4)])
    assert {outcome.kind for outcome in outcomes.values()} == {OutcomeKind.REJECTED}


def test_a_throttle_in_the_middle_leaves_undecided_messages_planned(sendgrid: SendGrid) -> None:
    replying(sendgrid, refusal(), refusal(), Reply(429, {"Retry-After": "7"}))
    outcomes = sendgrid.sender().send([message(number, EMAIL) for number in range(2)])
    assert {(outcome.kind, outcome.retry_after) for outcome in outcomes.values()} == {
        (OutcomeKind.NOT_SENT, timedelta(seconds=7))
    }


def test_a_key_revoked_in_the_middle_of_a_batch_loses_no_outcome(sendgrid: SendGrid) -> None:
    sendgrid.connect(sendgrid.stub.url, batch_size=2)
    replying(sendgrid, Reply(202, {"X-Message-Id": "one"}), Reply(401))
    outcomes = sendgrid.sender().send([message(number, EMAIL) for number in range(6)])
    assert (
        sorted((outcome.kind, outcome.error_code) for outcome in outcomes.values() if outcome.error_code)
        == [(OutcomeKind.NOT_SENT, "misconfigured")] * 4
    )
    assert len(sendgrid.stub.requests) == 2


def test_a_providers_words_are_kept_without_the_address_in_them(sendgrid: SendGrid) -> None:
    error = {"field": "personalizations.0", "message": "we found [ann@example.com] or +1 (202) 555-0101 twice"}
    replying(sendgrid, Reply(400, {}, json.dumps({"errors": [error]}).encode()))
    (outcome,) = sendgrid.sender().send([message(1, EMAIL)]).values()
    assert outcome.kind is OutcomeKind.REJECTED
    assert "twice" in outcome.detail
    assert "ann" not in outcome.detail
    assert "555" not in outcome.detail


@pytest.mark.parametrize("field", [None, "", "null"])
def test_a_refusal_that_names_no_field_is_found_out_by_halves(sendgrid: SendGrid, field: str | None) -> None:
    messages = [message(number, EMAIL) for number in range(4)]
    bad = messages[2].message_id

    def answer(request: Recorded) -> Reply:
        if bad not in sendgrid.ids(request):
            return sendgrid.ok(request)
        return Reply(400, {}, json.dumps({"errors": [{"field": field, "message": "no"}]}).encode())

    sendgrid.stub.answer = answer
    outcomes = sendgrid.sender().send(messages)
    assert [each.kind for each in outcomes.values()].count(OutcomeKind.ACCEPTED) == 3
    assert outcomes[bad].kind is OutcomeKind.REJECTED


def test_told_to_stop_in_the_middle_of_halving_no_template_is_blamed(sendgrid: SendGrid) -> None:
    held = NotSent("The process was told to stop.", timedelta(), code="stopped")

    def answer(request: Recorded) -> Reply:
        asked.append(len(sendgrid.ids(request)))
        return Reply(400, {}, b'{"errors": [{"message": "no"}]}')

    asked: list[int] = []
    sendgrid.stub.answer = answer
    messages = [replace(message(number, EMAIL), why_not=lambda: held if 1 in asked else None) for number in range(8)]
    outcomes = sendgrid.sender().send(messages)
    assert asked == [8, 4, 2, 1]
    assert {(each.kind, each.error_code) for each in outcomes.values()} == {(OutcomeKind.NOT_SENT, "stopped")}


def test_mail_without_a_way_to_unsubscribe_by_https_is_not_sent(
    sendgrid: SendGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    sendgrid.connect("https://api.sendgrid.example", sandbox=False)
    monkeypatch.setenv("WINBACK_PUBLIC_URL", "http://events.example.com")
    with pytest.raises(Misconfigured, match="https"):
        sendgrid.sender()


def test_a_step_may_name_a_dynamic_template_of_sendgrids(sendgrid: SendGrid) -> None:
    definition = {**DEFINITION, "steps": [{"key": "day30", "sendgrid_template_id": "d-abc"}]}
    bare = replace(TEMPLATE, subject=None, html=None, text=None)
    messages = [replace(message(number, EMAIL), template=bare) for number in (1, 2)]
    registry.build("sendgrid", connections.SENDGRID, definition).send(messages)
    (request,) = (request.json() for request in sendgrid.stub.requests)
    assert request["template_id"] == "d-abc"
    assert request["personalizations"][0]["dynamic_template_data"]["first_name"] == "Zephyrine"
    assert "content" not in request
    assert "substitutions" not in request["personalizations"][0]


def test_without_a_way_to_unsubscribe_nothing_is_sent(sendgrid: SendGrid) -> None:
    (outcome,) = sendgrid.sender().send([replace(message(1, EMAIL), unsubscribe_url="")]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "no_unsubscribe")
    assert sendgrid.stub.requests == []


def test_the_key_travels_in_the_header_alone(sendgrid: SendGrid) -> None:
    sendgrid.sender().send([message(1, EMAIL)])
    (request,) = sendgrid.stub.requests
    assert request.path == "/sendgrid/v3/mail/send"
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert API_KEY.encode() not in request.body


def test_an_alert_goes_to_the_team_as_plain_text(sendgrid: SendGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    alerts = {"extra": {"emails": ["team@example.com", "boss@example.com"], "from": "alerts@shop.example.com"}}
    monkeypatch.setenv(connections.variable(connections.ALERTS), json.dumps(alerts))
    replying(sendgrid, Reply(202, {"X-Message-Id": "n1"}))
    notice = str(uuid.uuid4())
    outcome = registry.notifier()("No codes left", "Pool winback_discount10 is dry.", notice)
    assert (outcome.kind, outcome.provider_message_id) == (OutcomeKind.ACCEPTED, "n1")
    request = sendgrid.stub.requests[0].json()
    assert request["personalizations"][0]["to"] == [{"email": "team@example.com"}, {"email": "boss@example.com"}]
    assert request["personalizations"][0]["custom_args"] == {"notice_id": notice}
    assert request["content"] == [{"type": "text/plain", "value": "Pool winback_discount10 is dry."}]


def test_an_alert_names_everybody_once(sendgrid: SendGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    alerts = {"extra": {"emails": "team@example.com, Team@example.com,", "from": "alerts@shop.example.com"}}
    monkeypatch.setenv(connections.variable(connections.ALERTS), json.dumps(alerts))
    replying(sendgrid, Reply(202, {"X-Message-Id": "n1"}))
    assert registry.notifier()("No codes left", "It is dry.", str(uuid.uuid4())).kind is OutcomeKind.ACCEPTED
    (to,) = sendgrid.stub.requests[0].json()["personalizations"][0]["to"]
    assert to["email"].lower() == "team@example.com"


def test_alerts_without_recipients_are_a_configuration_error(
    sendgrid: SendGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connections.variable(connections.ALERTS), '{"extra": {"from": "alerts@shop.example.com"}}')
    with pytest.raises(Misconfigured, match="emails"):
        registry.notifier()


def one(outcomes: Mapping[uuid.UUID, Any]) -> Any:
    (outcome,) = outcomes.values()
    return outcome


def test_messages_of_the_contract_are_batches_of_the_connections_size(sendgrid: SendGrid) -> None:
    sendgrid.connect(sendgrid.stub.url, batch_size=1000)
    sender = sendgrid.sender()
    messages: list[Message] = [message(number, EMAIL) for number in range(1000)]
    assert sender.batch_size == 1000
    assert len(sender.send(messages)) == 1000
    assert len(sendgrid.stub.requests) == 1
