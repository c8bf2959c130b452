"""What is web push's own: subscriptions that end, keys that do not fit, endpoints that nobody should call."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from py_vapid import Vapid

from senders import contract, registry
from senders.contract import WEBPUSH, OutcomeKind, Push, Recipient
from senders.webpush.services import PushServices
from tests.contract.providers import CLOCK, DEFINITION, TEMPLATE, WebPush, message, subscription
from tests.contract.pushes import NEW, OLD, answering, paths, to
from tests.contract.stub import Recorded, Reply
from warehouse import connections
from warehouse.errors import Misconfigured


def claims(request: Recorded) -> Any:
    token = request.headers["authorization"].split("t=")[1].split(",")[0]
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_request_carries_time_to_live_topic_urgency_and_a_signed_claim(webpush: WebPush) -> None:
    webpush.sender().send([to(NEW)])
    (request,) = webpush.stub.requests
    assert request.headers["ttl"] == str(3 * 3600)
    assert request.headers["urgency"] == "normal"
    assert len(request.headers["topic"]) == 32
    assert request.headers["content-encoding"] == "aes128gcm"
    assert request.headers["host"] == "push.example.net"
    assert Vapid.verify(request.headers["authorization"])
    assert claims(request)["sub"] == "mailto:care@shop.example.com"
    assert TEMPLATE.push is not None
    assert TEMPLATE.push.title.encode() not in request.body, "the payload is encrypted"


@pytest.mark.parametrize(
    "contact", ["https://shop.example.com:8443/contact/", "https://localhost", "mailto:a@b.example"]
)
def test_any_page_or_address_may_be_the_contact(webpush: WebPush, contact: str) -> None:
    definition = {**DEFINITION, "webpush": {"contact": contact}}
    (outcome,) = registry.build("webpush", connections.WEBPUSH, definition).send([to(NEW)]).values()
    assert outcome.kind is OutcomeKind.ACCEPTED
    (request,) = webpush.stub.requests
    assert claims(request)["sub"] == contact


@pytest.mark.parametrize("contact", ["", "care@shop.example.com", "https://", "mailto:nobody"])
def test_what_is_no_contact_is_known_before_anything_is_claimed(webpush: WebPush, contact: str) -> None:
    with pytest.raises(Misconfigured, match="contact"):
        registry.build("webpush", connections.WEBPUSH, {**DEFINITION, "webpush": {"contact": contact}})
    assert webpush.stub.requests == []


def test_each_push_service_is_named_in_its_own_claim(webpush: WebPush) -> None:
    webpush.sender().send([to(NEW), replace(to(OLD), message_id=message(2, WEBPUSH).message_id)])
    assert {claims(r)["aud"] for r in webpush.stub.requests} == {
        "https://push.example.net",
        "https://other.example.org",
    }


def test_a_token_is_signed_once_for_a_push_service_and_serves_all_messages_to_it(webpush: WebPush) -> None:
    sender = webpush.sender()
    sender.send([to(NEW)])
    sender.send([replace(to(endpoint), message_id=uuid.uuid4()) for endpoint in (NEW, OLD, OLD)])
    assert len(webpush.stub.requests) == 4
    assert len({request.headers["authorization"] for request in webpush.stub.requests}) == 2


def test_one_connection_carries_one_message_after_the_other(webpush: WebPush) -> None:
    webpush.connect(webpush.stub.url, sandbox_host=webpush.stub.url.removeprefix("http://"), connections=1)
    sender = webpush.sender()
    for _ in range(3):
        sender.send([replace(to(endpoint), message_id=uuid.uuid4()) for endpoint in (NEW, OLD)])
    assert len(webpush.stub.requests) == 6
    assert webpush.stub.connections == 1


def test_one_topic_for_a_step_and_another_for_the_next(webpush: WebPush) -> None:
    webpush.sender().send([to(NEW), replace(to(NEW, step="day60"), message_id=message(2, WEBPUSH).message_id)])
    assert len({request.headers["topic"] for request in webpush.stub.requests}) == 2


@pytest.mark.parametrize("status", [404, 410])
def test_an_ended_subscription_is_reported_and_the_next_one_is_tried(webpush: WebPush, status: int) -> None:
    answering(webpush, {"/s/1": Reply(status), "/s/2": Reply(201)})
    (outcome,) = webpush.sender().send([to(NEW, OLD)]).values()
    assert paths(webpush) == ["/s/1", "/s/2"]
    assert (outcome.kind, list(outcome.gone_endpoints)) == (OutcomeKind.ACCEPTED, [NEW])


def test_the_newest_subscription_that_takes_it_is_the_only_one_called(webpush: WebPush) -> None:
    webpush.sender().send([to(NEW, OLD)])
    assert paths(webpush) == ["/s/1"]


def test_when_every_subscription_has_ended_the_message_is_rejected(webpush: WebPush) -> None:
    answering(webpush, {"/s/1": Reply(410), "/s/2": Reply(404)})
    (outcome,) = webpush.sender().send([to(NEW, OLD)]).values()
    assert (outcome.kind, list(outcome.gone_endpoints)) == (OutcomeKind.REJECTED, [NEW, OLD])


@pytest.mark.parametrize(
    "doubt",
    [
        Reply(500),
        Reply(trouble="reset"),
        Reply(200, {"Content-Type": "text/html"}, b"<h1>It works!</h1>"),
        *(Reply(status, {"Location": "https://push.example.net/m/abc"}) for status in (200, 202, 204, 207)),
    ],
)
def test_in_doubt_the_next_subscription_is_not_tried(webpush: WebPush, doubt: Reply) -> None:
    answering(webpush, {"/s/1": doubt, "/s/2": Reply(201)})
    (outcome,) = webpush.sender().send([to(NEW, OLD)]).values()
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert paths(webpush) == ["/s/1"]


def test_apples_word_for_another_key_is_understood(webpush: WebPush) -> None:
    answering(webpush, {"/s/1": Reply(400, {}, b'{"reason":"VapidPkHashMismatch"}'), "/s/2": Reply(410)})
    (outcome,) = webpush.sender().send([to(NEW, OLD)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "not_our_key")


def test_one_endpoint_made_with_another_key_is_rejected_alone(webpush: WebPush) -> None:
    answering(webpush, {"/s/1": Reply(403), "/s/2": Reply(201)})
    other = replace(to(OLD), message_id=message(2, WEBPUSH).message_id)
    outcomes = webpush.sender().send([to(NEW), other])
    assert outcomes[to(NEW).message_id].kind is OutcomeKind.REJECTED
    assert outcomes[other.message_id].kind is OutcomeKind.ACCEPTED


def test_a_key_that_every_push_service_refuses_is_ours_to_mend(webpush: WebPush) -> None:
    webpush.stub.answer = lambda _: Reply(403)
    with pytest.raises(Misconfigured, match="VAPID"):
        webpush.sender().send([message(number, WEBPUSH) for number in (1, 2, 3)])


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("endpoints", [(NEW,), (NEW, OLD)])
def test_one_person_subscribed_with_another_key_is_rejected_and_blocks_nobody(
    webpush: WebPush, status: int, endpoints: tuple[str, ...]
) -> None:
    webpush.stub.answer = lambda _: Reply(status)
    twin = replace(to(*endpoints, campaign="another"), message_id=message(2, WEBPUSH).message_id)
    outcomes = webpush.sender().send([to(*endpoints), twin])
    assert {(each.kind, each.error_code) for each in outcomes.values()} == {(OutcomeKind.REJECTED, "not_our_key")}


def test_a_wrong_key_is_found_where_a_rate_lets_one_message_go_at_a_time(webpush: WebPush) -> None:
    webpush.stub.answer = lambda _: Reply(403)
    sender = webpush.sender()
    sender.send([message(1, WEBPUSH)])
    for number in (2, 3):
        with pytest.raises(Misconfigured, match="VAPID"):
            sender.send([message(number, WEBPUSH)])


def test_after_our_key_was_taken_a_subscription_made_with_another_is_rejected_alone(webpush: WebPush) -> None:
    answering(webpush, {"/s/1": Reply(403), "/s/2": Reply(201)})
    sender = webpush.sender()
    sender.send([to(OLD)])
    (outcome,) = sender.send([to(NEW)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "not_our_key")


def test_judging_the_key_forgets_no_ended_subscription(webpush: WebPush) -> None:
    answering(webpush, {"/s/1": Reply(410), "/s/2": Reply(403), "/s/3": Reply(413), "/s/4": Reply(403)})
    others = [
        replace(message(number, WEBPUSH), message_id=message(number - 1, WEBPUSH).message_id) for number in (3, 4)
    ]
    outcomes = webpush.sender().send([to(NEW, OLD), *others])
    mine = outcomes[to(NEW, OLD).message_id]
    assert (mine.kind, mine.error_code, list(mine.gone_endpoints)) == (OutcomeKind.NOT_SENT, "misconfigured", [NEW])


@pytest.mark.parametrize("endpoints", [(NEW, OLD), (OLD, NEW)])
def test_what_a_service_refuses_is_not_the_addresses_fault_because_another_browser_is_gone(
    webpush: WebPush, endpoints: tuple[str, ...]
) -> None:
    answering(webpush, {"/s/1": Reply(410), "/s/2": Reply(413)})
    (outcome,) = webpush.sender().send([to(*endpoints)]).values()
    assert (outcome.kind, outcome.error_code, list(outcome.gone_endpoints)) == (OutcomeKind.REJECTED, "http_413", [NEW])
    assert not outcome.blames_address


@pytest.mark.parametrize("other", [Reply(404), Reply(410), Reply(413)])
@pytest.mark.parametrize("newest_first", [True, False])
def test_a_wrong_key_is_found_whatever_becomes_of_peoples_other_browsers(
    webpush: WebPush, newest_first: bool, other: Reply
) -> None:
    webpush.stub.answer = lambda call: other if call.path.endswith("/other") else Reply(403)
    people = [
        replace(
            to(*[f"https://push.example.net/s/{number}", f"https://push.example.net/s/{number}/other"][::order]),
            message_id=message(number, WEBPUSH).message_id,
        )
        for number in (1, 2)
        for order in [1 if newest_first else -1]
    ]
    with pytest.raises(Misconfigured, match="VAPID"):
        webpush.sender().send(people)


def test_a_wrong_key_and_another_refusal_lose_no_outcome(webpush: WebPush) -> None:
    answering(webpush, {"/s/1": Reply(403), "/s/2": Reply(403), "/s/3": Reply(413)})
    outcomes = webpush.sender().send([message(number, WEBPUSH) for number in (1, 2, 3)])
    assert [outcome.kind for outcome in outcomes.values()] == [
        OutcomeKind.NOT_SENT,
        OutcomeKind.NOT_SENT,
        OutcomeKind.REJECTED,
    ]


def test_a_throttling_push_service_is_left_alone_and_others_are_not(webpush: WebPush) -> None:
    webpush.connect(webpush.stub.url, sandbox_host=webpush.stub.url.removeprefix("http://"), connections=1)
    answering(webpush, {"/s/1": Reply(429, {"Retry-After": "9"}), "/s/2": Reply(201)})
    ids = [message(number, WEBPUSH).message_id for number in range(3)]
    outcomes = webpush.sender().send(
        [replace(to(endpoint), message_id=key) for endpoint, key in zip((NEW, NEW, OLD), ids, strict=True)]
    )
    assert [(o.kind, bool(o.retry_after)) for o in outcomes.values()] == [
        (OutcomeKind.NOT_SENT, True),
        (OutcomeKind.NOT_SENT, True),
        (OutcomeKind.ACCEPTED, False),
    ]
    assert paths(webpush) == ["/s/1", "/s/2"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_push_service_that_asks_to_wait_is_left_alone_by_every_lane_for_so_long(
    webpush: WebPush, status: int
) -> None:
    senders = registry.Senders()
    one, another = senders(WEBPUSH, DEFINITION), senders(WEBPUSH, {**DEFINITION, "campaign": "another"})
    answering(webpush, {"/s/1": Reply(status, {"Retry-After": "9"}), "/s/2": Reply(201)})
    one.send([to(NEW)])
    (busy,) = another.send([to(NEW, clock=CLOCK + timedelta(seconds=2))]).values()
    (fine,) = another.send([to(OLD)]).values()
    assert (busy.kind, busy.retry_after) == (OutcomeKind.NOT_SENT, timedelta(seconds=7))
    assert fine.kind is OutcomeKind.ACCEPTED
    answering(webpush, {"/s/1": Reply(201)})
    (rested,) = another.send([to(NEW, clock=CLOCK + timedelta(seconds=9))]).values()
    assert rested.kind is OutcomeKind.ACCEPTED
    assert paths(webpush) == ["/s/1", "/s/2", "/s/1"]


def test_the_longest_of_several_requests_to_wait_counts() -> None:
    services = PushServices()
    for seconds in (60, 5):
        services.leave_alone("push.example.net", CLOCK + timedelta(seconds=seconds))
    assert services.wait("push.example.net", CLOCK) == timedelta(seconds=60)
    assert services.wait("other.example.org", CLOCK) == timedelta()


def test_what_one_lane_learns_of_our_key_the_others_know(webpush: WebPush) -> None:
    webpush.stub.answer = lambda _: Reply(403)
    senders = registry.Senders()
    senders(WEBPUSH, DEFINITION).send([message(1, WEBPUSH)])
    with pytest.raises(Misconfigured, match="VAPID"):
        senders(WEBPUSH, DEFINITION).send([message(2, WEBPUSH)])
    webpush.behaves("accepts")
    senders(WEBPUSH, DEFINITION).send([message(3, WEBPUSH)])
    webpush.stub.answer = lambda _: Reply(403)
    (outcome,) = senders(WEBPUSH, DEFINITION).send([message(4, WEBPUSH)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "not_our_key")


@pytest.mark.parametrize("status", [429, 503])
def test_a_push_service_that_asks_to_wait_is_left_alone_by_the_next_batch_too(webpush: WebPush, status: int) -> None:
    answering(webpush, {"/s/1": Reply(status, {"Retry-After": "9"}), "/s/2": Reply(201)})
    sender = webpush.sender()
    sender.send([to(NEW)])
    later = {each.message_id: each for each in (to(NEW), replace(to(OLD), message_id=message(2, WEBPUSH).message_id))}
    busy, fine = sender.send(list(later.values())).values()
    assert (busy.kind, fine.kind) == (OutcomeKind.NOT_SENT, OutcomeKind.ACCEPTED)
    assert busy.retry_after is not None
    assert timedelta() < busy.retry_after <= timedelta(seconds=9)
    assert paths(webpush) == ["/s/1", "/s/2"]


def test_what_is_too_long_for_a_push_is_rejected_unsent(webpush: WebPush) -> None:
    push = Push(title="x" * 4000, body="y", url="https://shop.example.com")
    (outcome,) = webpush.sender().send([to(NEW, template=replace(TEMPLATE, push=push))]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.REJECTED, "too_long")
    assert paths(webpush) == []


def test_a_redirect_is_not_followed(webpush: WebPush) -> None:
    answering(webpush, {"/s/1": Reply(307, {"Location": "https://push.example.net/s/2"}), "/s/2": Reply(201)})
    (outcome,) = webpush.sender().send([to(NEW)]).values()
    assert outcome.kind is OutcomeKind.REJECTED
    assert paths(webpush) == ["/s/1"]


def test_a_subscription_with_broken_keys_is_passed_over(webpush: WebPush) -> None:
    broken = replace(subscription(NEW), p256dh="AAAA")
    one = replace(message(1, WEBPUSH), recipient=Recipient(subscriptions=[broken, subscription(OLD)]))
    (outcome,) = webpush.sender().send([one]).values()
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert paths(webpush) == ["/s/2"]


def test_where_a_push_lies_is_kept_as_a_hash(webpush: WebPush) -> None:
    """Whoever knows it can read and cancel the message (RFC 8030, 8.3)."""
    answering(webpush, {"/s/1": Reply(201, {"Location": "https://push.example.net/m/secret"})})
    (outcome,) = webpush.sender().send([to(NEW)]).values()
    assert outcome.provider_message_id
    assert "secret" not in outcome.provider_message_id
    assert "push.example.net" not in outcome.provider_message_id


def test_behind_slow_answers_the_next_subscription_is_asked_for_what_is_left_of_the_time_or_not_at_all(
    webpush: WebPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = "https://third.example.org/s/3"
    answering(webpush, {"/s/1": Reply(410), "/s/2": Reply(404), "/s/3": Reply(201)})
    passed = [0.0]
    monkeypatch.setattr(contract, "elapsed", lambda: passed[0])
    ended = webpush.stub.answer

    def slowly(request: Recorded) -> Reply:
        passed[0] += 50.5
        return ended(request)

    webpush.stub.answer = slowly
    soon = CLOCK + timedelta(seconds=90)
    (outcome,) = webpush.sender().send([to(NEW, OLD, third, clock_read_at=0.0, deliver_before=soon)]).values()
    assert [request.headers["ttl"] for request in webpush.stub.requests] == ["90", "39"]
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.NOT_SENT, "too_late")
    assert list(outcome.gone_endpoints) == [NEW, OLD]


def test_time_to_live_ends_with_the_messages_time(webpush: WebPush) -> None:
    webpush.sender().send([to(NEW, deliver_before=CLOCK + timedelta(seconds=90))])
    assert webpush.stub.requests[0].headers["ttl"] == "90"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"extra": {"sandbox": True}}, "sandbox_host"),
        ({"extra": {"sandbox": True, "sandbox_host": "fcm.googleapis.com"}}, "provider itself"),
        ({"extra": {"sandbox": True, "sandbox_host": "updates.push.services.mozilla.com:443"}}, "provider itself"),
        ({"password": ""}, "private key"),
        ({"password": "not a key"}, "private key"),
    ],
)
def test_a_wrong_connection_is_refused_before_anything_is_claimed(
    webpush: WebPush, document: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {"password": webpush.connection(webpush.stub.url)["password"], **document}
    monkeypatch.setenv(connections.variable(connections.WEBPUSH), json.dumps(whole))
    with pytest.raises(Misconfigured, match=words):
        registry.build("webpush", connections.WEBPUSH, DEFINITION)
