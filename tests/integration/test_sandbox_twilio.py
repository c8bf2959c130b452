"""The sandbox against Twilio's own SDK and its own signature validator."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from local.sandbox.server import Handle, Sandbox
from tests.integration.sandbox_listener import Listener, listening

NOON = datetime(2017, 10, 1, 16, tzinfo=UTC)
SENDER = "+15005550006"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as it:
        yield it


@pytest.fixture
def sandbox(listener: Listener) -> Iterator[Handle]:
    with Sandbox(events_url=listener.url) as handle:
        handle.set_clock(NOON)
        yield handle


def client_of(sandbox: Handle, token: str | None = None) -> Client:
    connection = sandbox.connections()["twilio_default"]
    client = Client(connection["login"], token or connection["password"])
    client.api.base_url = connection["host"]
    return client


def send(sandbox: Handle, **changes: Any) -> Any:
    given = {"to": "+12125550101", "from_": SENDER, "body": "Your code is waiting. Reply STOP to opt out", **changes}
    return client_of(sandbox).messages.create(**{name: value for name, value in given.items() if value is not None})


def callback(sandbox: Handle, message_id: uuid.UUID) -> str:
    return f"{sandbox.connections()['twilio_default']['extra']['webhook_url']}?message_id={message_id}"


def test_a_text_is_queued_and_answers_as_the_real_resource(sandbox: Handle) -> None:
    message_id = uuid.UUID(int=3)
    message = send(sandbox, status_callback=callback(sandbox, message_id), validity_period=36000)
    assert message.sid.startswith("SM")
    assert len(message.sid) == 34
    assert (message.status, message.num_segments, message.error_code) == ("queued", "1", None)
    assert message.direction == "outbound-api"
    (receipt,) = sandbox.receipts()
    assert (receipt["message_id"], receipt["provider_id"]) == (str(message_id), message.sid)


def test_segments_are_counted_as_the_network_does(sandbox: Handle) -> None:
    assert send(sandbox, body="a" * 160).num_segments == "1"
    assert send(sandbox, body="a" * 161).num_segments == "2"
    assert send(sandbox, body="é" * 160).num_segments == "1"
    assert send(sandbox, body="ê" * 71).num_segments == "2"
    assert send(sandbox, body="€" * 80).num_segments == "1"
    assert send(sandbox, body="€" * 81).num_segments == "2"


REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "no number": ({"to": ""}, 21604),
    "no sender": ({"from_": None}, 21603),
    "no body": ({"body": ""}, 21602),
    "a body of 1,601 characters": ({"body": "a" * 1601}, 21617),
    "a number without its country": ({"to": "2125550101"}, 21211),
    "a number with too many digits": ({"to": "+121255501011234"}, 21211),
    "a word for a number": ({"to": "+abc"}, 21211),
    "a country that there is not": ({"to": "+9990000000001"}, 21211),
    "a sender that cannot be": ({"from_": "+1"}, 21212),
    "a text to oneself": ({"to": SENDER, "from_": SENDER}, 21266),
    "no validity": ({"validity_period": 0}, 21624),
    "more than ten hours of validity": ({"validity_period": 36001}, 21624),
    "a callback that is no URL": ({"status_callback": "events/twilio"}, 21609),
    "Twilio's own test number: invalid": ({"to": "+15005550001"}, 21211),
    "Twilio's own test number: opted out": ({"to": "+15005550004"}, 21610),
    "Twilio's own test number: no mobile": ({"to": "+15005550009"}, 21614),
    "Twilio's own test number: no permission for the region": ({"to": "+15005550003"}, 21408),
    "Twilio's own test sender: queue full": ({"from_": "+15005550008"}, 21611),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(sandbox: Handle, case: str) -> None:
    changes, code = REFUSED[case]
    with pytest.raises(TwilioRestException) as caught:
        send(sandbox, **changes)
    assert (caught.value.status, caught.value.code) == (400, code)
    assert list(sandbox.receipts()) == []


def test_a_wrong_token_gets_401_and_code_20003(sandbox: Handle) -> None:
    with pytest.raises(TwilioRestException) as caught:
        client_of(sandbox, token="wrong").messages.create(to="+12125550101", from_=SENDER, body="Hi")
    assert (caught.value.status, caught.value.code) == (401, 20003)


def test_texts_can_be_listed_by_number_and_day_over_many_pages(sandbox: Handle) -> None:
    for number in range(5):
        send(sandbox, to=f"+1212555010{number}")
    sandbox.set_clock(NOON + timedelta(days=1))
    later = send(sandbox, to="+12125550101")
    messages = client_of(sandbox).messages
    assert len(messages.list(page_size=2)) == 6
    assert [one.sid for one in messages.list(to="+12125550101", date_sent_after=NOON + timedelta(hours=1))] == [
        later.sid
    ]
    assert len(messages.list(date_sent=NOON.date())) == 5
    assert len(messages.list(date_sent_before=NOON + timedelta(minutes=1))) == 5


def test_the_message_list_carries_nothing_of_ours(sandbox: Handle) -> None:
    """As the real one: no status callback, no field of ours. So it cannot prove whose a text is."""
    message_id = uuid.UUID(int=3)
    sent = send(sandbox, status_callback=callback(sandbox, message_id))
    connection = sandbox.connections()["twilio_default"]
    answer = httpx.get(
        f"{connection['host']}/2010-04-01/Accounts/{connection['login']}/Messages.json",
        auth=(connection["login"], connection["password"]),
    )
    assert sent.sid in answer.text
    assert str(message_id) not in answer.text
    assert "callback" not in answer.text.lower()


def test_a_text_can_be_read_again_with_its_status_of_the_moment(sandbox: Handle) -> None:
    sandbox.set_habits(rates={"sms": {"failed": 0, "undelivered": 0}})
    message = send(sandbox)
    assert client_of(sandbox).messages(message.sid).fetch().status == "queued"
    sandbox.set_clock(NOON + timedelta(minutes=10))
    again = client_of(sandbox).messages(message.sid).fetch()
    assert again.status == "delivered"
    assert NOON <= again.date_sent <= NOON + timedelta(seconds=10)
    with pytest.raises(TwilioRestException) as caught:
        client_of(sandbox).messages("SM" + "0" * 32).fetch()
    assert (caught.value.status, caught.value.code) == (404, 20404)


def test_every_callback_bears_a_signature_that_twilios_own_validator_accepts(
    sandbox: Handle, listener: Listener
) -> None:
    sandbox.set_habits(rates={"sms": {"stopped": 1, "failed": 0, "undelivered": 0}})
    message_id = uuid.uuid4()
    sid = send(sandbox, status_callback=callback(sandbox, message_id)).sid
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    validator = RequestValidator(sandbox.connections()["twilio_default"]["password"])
    for call in listener.calls:
        assert validator.validate(call.url, call.form(), call.headers["X-Twilio-Signature"])
        assert not validator.validate(call.url + "x", call.form(), call.headers["X-Twilio-Signature"])
    statuses = listener.at("/events/twilio")
    assert {call.form()["MessageStatus"] for call in statuses} == {"sent", "delivered"}, "not for the first status"
    assert {call.query("message_id") for call in statuses} == {str(message_id)}
    assert {call.form()["MessageSid"] for call in statuses} == {sid}
    (stop,) = listener.at("/events/twilio/inbound")
    assert (stop.form()["From"], stop.form()["To"], stop.form()["Body"]) == ("+12125550101", SENDER, "STOP")
    assert datetime.fromisoformat(stop.headers["X-Sandbox-Clock"]) > NOON


def test_a_callback_that_was_answered_does_not_come_again_taken_or_not(sandbox: Handle, listener: Listener) -> None:
    sandbox.set_habits(rates={"sms": {"stopped": 0, "failed": 0, "undelivered": 0}})
    listener.refuse_next = 1
    send(sandbox, status_callback=callback(sandbox, uuid.uuid4()))
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    (taken,) = listener.calls
    assert taken.form()["MessageStatus"] in ("sent", "delivered"), "one of the two was answered 503"


def test_who_answered_stop_gets_no_further_text(sandbox: Handle) -> None:
    sandbox.set_habits(people={"+12125550101": {"stopped": 1, "failed": 0, "undelivered": 0}})
    send(sandbox)
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    with pytest.raises(TwilioRestException) as caught:
        send(sandbox)
    assert caught.value.code == 21610
    assert send(sandbox, to="+12125550102").status == "queued"


def test_a_text_that_cannot_be_delivered_says_why(sandbox: Handle, listener: Listener) -> None:
    sandbox.set_habits(people={"+12125550101": {"failed": 1}})
    send(sandbox, status_callback=callback(sandbox, uuid.uuid4()))
    sandbox.set_clock(NOON + timedelta(hours=1))
    sandbox.drain()
    told = {call.form()["MessageStatus"]: call.form().get("ErrorCode") for call in listener.calls}  # in any order
    assert told["failed"] == "30006"
    assert "delivered" not in told


def test_texts_are_delivered_at_the_rates_that_were_promised(sandbox: Handle, listener: Listener) -> None:
    connection = sandbox.connections()["twilio_default"]
    url = f"{connection['host']}/2010-04-01/Accounts/{connection['login']}/Messages.json"
    with httpx.Client(auth=(connection["login"], connection["password"])) as client:
        for number in range(2000):
            form = {"To": f"+1212555{number:04}", "From": SENDER, "Body": "Hi"}
            assert client.post(url, data=form).status_code == 201
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    kinds = [call.form().get("MessageStatus", "stop") for call in listener.calls]
    assert kinds.count("delivered") / 2000 == pytest.approx(0.97, abs=0.015)
    assert kinds.count("stop") / 2000 == pytest.approx(0.01, abs=0.007)
