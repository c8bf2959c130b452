"""What is Twilio's own: one request a text, its codes, its costs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from senders import contract, registry
from senders.contract import SMS, AccountRefused, OutcomeKind
from senders.twilio import codes
from tests.contract.providers import CLOCK, DEFINITION, SID, TEMPLATE, TOKEN, Twilio, message
from tests.contract.stub import Recorded, Reply, Stub
from warehouse import connections
from warehouse.errors import Misconfigured


@pytest.fixture
def twilio(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Twilio:
    made = Twilio(stub, monkeypatch.setenv)
    made.behaves("accepts")
    return made


def refusing(provider: Twilio, status: int, code: int, **headers: str) -> None:
    body = json.dumps({"code": code, "message": "Refused +12025550001", "status": status}).encode()
    provider.stub.answer = lambda _: Reply(status, headers, body)


def form(request: Recorded) -> Mapping[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def test_the_request_says_to_whom_from_whom_how_long_and_where_to_report(twilio: Twilio) -> None:
    one = message(1, SMS)
    twilio.sender().send([one])
    (request,) = twilio.stub.requests
    assert request.path == f"/twilio/2010-04-01/Accounts/{SID}/Messages.json"
    assert form(request) == {
        "To": "+12025550001",
        "From": "+15005550006",
        "Body": f"Riverside Market: Zephyrine, {one.fields['step_url']} Reply STOP to opt out",
        "StatusCallback": f"https://events.example.com/events/twilio?message_id={one.message_id}",
        "ValidityPeriod": str(3 * 3600),
    }


@pytest.mark.parametrize(("seconds", "sent"), [(6, "6"), (3600.9, "3600"), (36_000, "36000"), (10 * 86_400, "36000")])
def test_a_text_is_valid_until_the_quiet_hours_and_never_longer_than_twilio_allows(
    twilio: Twilio, seconds: float, sent: str
) -> None:
    twilio.sender().send([replace(message(1, SMS), deliver_before=CLOCK + timedelta(seconds=seconds))])
    assert form(twilio.stub.requests[0])["ValidityPeriod"] == sent


def test_a_text_with_five_seconds_left_is_not_sent(twilio: Twilio) -> None:
    (outcome,) = twilio.sender().send([replace(message(1, SMS), deliver_before=CLOCK + timedelta(seconds=5))]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.NOT_SENT, "too_late")


def test_behind_slow_answers_a_text_is_valid_for_what_is_left_of_its_time(
    twilio: Twilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = iter([0.2, 10.0, 83.9, 84.0, 85.0])
    monkeypatch.setattr(contract, "elapsed", lambda: next(passed))
    twilio.one_by_one()
    soon = CLOCK + timedelta(seconds=90)
    outcomes = twilio.sender().send(
        [replace(message(number, SMS), clock_read_at=0.0, deliver_before=soon) for number in range(5)]
    )
    assert [form(request)["ValidityPeriod"] for request in twilio.stub.requests] == ["89", "80", "6", "6"]
    assert [outcome.error_code for outcome in outcomes.values()] == [None, None, None, None, "too_late"]


@pytest.mark.parametrize(
    ("code", "suppress"),
    [
        *((code, "invalid") for code in (21211, 21217, 21614, 21635)),
        *((code, None) for code in (30007, 21612, 21408, 21617, 21657, 99999)),
        (21610, "stopped"),
    ],
)
def test_a_refused_recipient_is_rejected_and_says_whether_the_number_is_finished(
    twilio: Twilio, code: int, suppress: str | None
) -> None:
    refusing(twilio, 400, code)
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert (outcome.kind, outcome.error_code, outcome.suppress) == (OutcomeKind.REJECTED, str(code), suppress)
    assert outcome.blames_address is (code not in {30007, 21617, 99999})
    assert "555" not in outcome.detail


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((401, 20003), (404, 20404), (403, 20005), (403, 20003), (403, 20403), (403, 70051), (403, 99999)),
        *((400, code) for code in (10001, 21401, 21601, 21603, 21606, 21608, 21609, 21659, 21701, 21704, 30034)),
    ],
)
def test_a_refusal_of_the_account_is_no_refusal_of_a_message(twilio: Twilio, status: int, code: int) -> None:
    refusing(twilio, status, code)
    with pytest.raises(Misconfigured, match=str(code)):
        twilio.sender().send([message(1, SMS)])


@pytest.mark.parametrize("status", [400, 403, 406, 409, 410, 413, 422, 451])
@pytest.mark.parametrize("body", [b"<h1>Blocked</h1>", b"", b"[]", b'{"message": "denied"}', b'{"code": "waf"}'])
def test_a_refusal_without_a_code_of_twilios_is_no_refusal_of_a_message(
    twilio: Twilio, status: int, body: bytes
) -> None:
    twilio.stub.answer = lambda _: Reply(status, {"Content-Type": "text/html"}, body)
    with pytest.raises(Misconfigured, match=f"{status} without a code"):
        twilio.sender().send([message(1, SMS)])


@pytest.mark.parametrize(("status", "code"), [(403, 21610), (403, 21408), (403, 21211)])
def test_a_persons_own_code_stays_theirs_whatever_its_status(twilio: Twilio, status: int, code: int) -> None:
    refusing(twilio, status, code)
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, str(code))


@pytest.mark.parametrize(("status", "code"), [(500, 20429), (503, 20503), (503, 21211), (502, 20003)])
def test_a_5xx_proves_nothing_whatever_code_it_carries(twilio: Twilio, status: int, code: int) -> None:
    refusing(twilio, status, code)
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, f"http_{status}")


def test_a_text_that_failed_at_once_for_the_accounts_sake_is_rejected_for_nobody(twilio: Twilio) -> None:
    body = json.dumps({"sid": "SM" + "a" * 32, "status": "failed", "error_code": 30002}).encode()
    twilio.stub.answer = lambda _: Reply(201, {}, body)
    with pytest.raises(AccountRefused, match="30002") as refused:
        twilio.sender().send([message(1, SMS)])
    assert refused.value.taken == {message(1, SMS).message_id: "SM" + "a" * 32}


def test_no_code_of_twilios_has_two_meanings() -> None:
    sets = (codes.STOPPED, codes.INVALID, codes.OWN, codes.THROTTLED, codes.ACCOUNT)
    assert sum(len(each) for each in sets) == len(frozenset().union(*sets))


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (400, 21611), (429, 63038)])
def test_a_full_queue_is_waited_for(twilio: Twilio, status: int, code: int) -> None:
    refusing(twilio, status, code, **{"Retry-After": "12"})
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert (outcome.kind, outcome.retry_after) == (OutcomeKind.NOT_SENT, timedelta(seconds=12))


def test_what_a_text_costs_is_said_whether_it_is_taken_or_not(twilio: Twilio) -> None:
    short = message(1, SMS)
    long = replace(message(2, SMS), template=replace(TEMPLATE, sms="ё" * 71 + "{{ first_name }}"))
    outcomes = twilio.sender().send([short, long])
    assert [(o.segments, o.encoding) for o in outcomes.values()] == [(1, "GSM-7"), (2, "UCS-2")]
    refusing(twilio, 400, 21610)
    (outcome,) = twilio.sender().send([long]).values()
    assert (outcome.segments, outcome.encoding) == (2, "UCS-2")


def test_a_text_beyond_twilios_length_is_rejected_unsent(twilio: Twilio) -> None:
    (outcome,) = twilio.sender().send([replace(message(1, SMS), template=replace(TEMPLATE, sms="x" * 1601))]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "too_long")
    assert twilio.stub.requests == []


def test_parallel_answers_are_never_swapped(twilio: Twilio) -> None:
    accept = twilio.stub.answer

    def answer(request: Recorded) -> Reply:
        time.sleep(0.001)
        return accept(request)

    twilio.stub.answer = answer
    for _ in range(3):
        messages = [message(number, SMS) for number in range(100)]
        outcomes = twilio.sender().send(messages)
        assert all(outcomes[one.message_id].provider_message_id == f"SM{one.message_id.hex}" for one in messages)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"ok"', b"{}", b'{"sid": null, "status": "queued"}', b'{"sid": "SM123", "status": "queued"}'],
)
def test_an_answer_without_a_real_sid_is_no_acceptance(twilio: Twilio, body: bytes) -> None:
    twilio.stub.answer = lambda _: Reply(201, {}, body)
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert outcome.kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize("status", [200, 202, 206])
def test_only_201_means_that_twilio_took_a_text(twilio: Twilio, status: int) -> None:
    accept = twilio.stub.answer
    twilio.stub.answer = lambda request: replace(accept(request), status=status)
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, f"http_{status}")


@pytest.mark.parametrize("status", [None, "", "received", "done", 7])
def test_a_status_that_twilio_does_not_document_is_no_acceptance(twilio: Twilio, status: object) -> None:
    body = json.dumps({"sid": "SM" + "a" * 32, "status": status, "error_code": None}).encode()
    twilio.stub.answer = lambda _: Reply(201, {}, body)
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, "nonsense")


@pytest.mark.parametrize("status", ["accepted", "scheduled", "queued", "sending", "sent", "delivered"])
def test_every_status_of_a_text_that_was_taken_is_acceptance(twilio: Twilio, status: str) -> None:
    body = json.dumps({"sid": "SM" + "a" * 32, "status": status, "error_code": None}).encode()
    twilio.stub.answer = lambda _: Reply(201, {}, body)
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert outcome.kind is OutcomeKind.ACCEPTED


def test_a_text_that_failed_at_once_is_rejected_with_its_code(twilio: Twilio) -> None:
    body = json.dumps({"sid": "SM" + "a" * 32, "status": "failed", "error_code": 30007}).encode()
    twilio.stub.answer = lambda _: Reply(201, {}, body)
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "30007")


def test_after_a_429_calls_that_have_not_begun_are_spared(twilio: Twilio) -> None:
    twilio.connect(twilio.stub.url, webhook_url="https://e.example.com/events/twilio", connections=2)
    refusing(twilio, 429, 20429, **{"Retry-After": "3"})
    outcomes = twilio.sender().send([message(number, SMS) for number in range(50)])
    assert {(o.kind, o.retry_after) for o in outcomes.values()} == {(OutcomeKind.NOT_SENT, timedelta(seconds=3))}
    assert len(twilio.stub.requests) <= 4


def test_a_messaging_service_takes_the_numbers_place(twilio: Twilio) -> None:
    twilio.connect(twilio.stub.url, webhook_url="https://e.example.com/t", messaging_service_sid="MG" + "1" * 32)
    twilio.sender().send([message(1, SMS)])
    sent = form(twilio.stub.requests[0])
    assert sent["MessagingServiceSid"] == "MG" + "1" * 32
    assert "From" not in sent


def test_without_a_webhook_url_the_public_one_is_reported_to(twilio: Twilio) -> None:
    twilio.connect(twilio.stub.url, webhook_url="")
    twilio.sender().send([message(1, SMS)])
    assert form(twilio.stub.requests[0])["StatusCallback"].startswith("https://events.example.com/events/twilio?")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"host": "https://api.twilio.com", "extra": {"sandbox": True}}, "provider itself"),
        ({"extra": {"sandbox": True}}, "provider itself"),
        ({"host": "https://api.dublin.ie1.twilio.com", "extra": {"sandbox": True}}, "provider itself"),
        ({"login": "SK123"}, "account SID"),
        ({"password": ""}, "account SID"),
        ({"extra": {"webhook_url": "https://h.example.com/t?key=abc"}}, "webhook_url of twilio_default is no address"),
        ({"extra": {"webhook_url": "https://h.example.com/t#key"}}, "webhook_url of twilio_default is no address"),
        ({"extra": {"webhook_url": "me:secret@h.example.com/t"}}, "webhook_url of twilio_default is no address"),
    ],
)
def test_a_wrong_connection_is_refused_before_anything_is_claimed(
    document: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {"conn_type": "twilio", "login": SID, "password": TOKEN, **document}
    monkeypatch.setenv("WINBACK_PUBLIC_URL", "https://events.example.com")
    monkeypatch.setenv(connections.variable(connections.TWILIO), json.dumps(whole))
    with pytest.raises(Misconfigured, match=words):
        registry.build("twilio", connections.TWILIO, DEFINITION)


def test_a_campaign_without_a_number_is_refused(twilio: Twilio) -> None:
    with pytest.raises(Misconfigured, match="from_number"):
        registry.build("twilio", connections.TWILIO, {**DEFINITION, "sms": {}})


@pytest.mark.parametrize("document", [{"password": "tok–en"}, {"login": "ACé’"}])
def test_a_credential_that_no_header_can_carry_is_refused_before_any_text_is_in_doubt(
    twilio: Twilio, document: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {**twilio.connection(twilio.stub.url), **document}
    whole["extra"] = {**whole["extra"], "sandbox": True}
    monkeypatch.setenv(connections.variable(connections.TWILIO), json.dumps(whole))
    with pytest.raises(Misconfigured, match="character") as refused:
        registry.build("twilio", connections.TWILIO, DEFINITION)
    assert "–" not in str(refused.value)


def test_an_edge_or_region_of_the_environment_leads_to_no_other_host(
    twilio: Twilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    (outcome,) = twilio.sender().send([message(1, SMS)]).values()
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert len(twilio.stub.requests) == 1


def test_a_host_that_the_sdk_chose_by_itself_is_not_called(twilio: Twilio) -> None:
    sender = twilio.sender()
    sender._transport._client.region = "ie1"  # type: ignore[attr-defined]
    with pytest.raises(Misconfigured, match="another host"):
        sender.send([message(1, SMS)])
    assert not twilio.stub.requests
