"""Whether credentials are taken: asked by a call that changes nothing, of SendGrid's scopes and Twilio's account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from senders.contract import NotSent, OutcomeUnknown, SendError
from senders.sendgrid.check import check as check_sendgrid
from senders.twilio.check import check as check_twilio
from tests.contract.stub import Reply, Stub, free_port
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

SID, KEY = "AC" + "0" * 32, "SK" + "1" * 32
SECRET = "hunter2-secret"
ACCOUNT = f"/2010-04-01/Accounts/{SID}"


def sendgrid(url: str) -> Connection:
    return Connection("sendgrid_default", host=url, password=SECRET, extra={"sandbox": True, "timeout_seconds": 0.6})


def twilio(url: str, **changes: Any) -> Connection:
    extra = {"sandbox": True, "timeout_seconds": 0.6, **changes.pop("extra", {})}
    return Connection("twilio_default", host=url, login=changes.get("login", SID), password=SECRET, extra=extra)


def answers(stub: Stub, document: Any, status: int = 200) -> None:
    reply = Reply(status, {"Content-Type": "application/json"}, json.dumps(document).encode())
    stub.answer = lambda _: reply


def test_a_key_that_may_send_is_taken_and_nothing_but_scopes_is_asked(stub: Stub) -> None:
    answers(stub, {"scopes": ["mail.send", "user.profile.read"]})
    assert not check_sendgrid(sendgrid(stub.url)).is_warning
    assert [(asked.method, asked.path) for asked in stub.requests] == [("GET", "/v3/scopes")]


def test_a_key_that_may_not_send_is_refused_with_what_it_lacks(stub: Stub) -> None:
    answers(stub, {"scopes": ["user.profile.read"]})
    with pytest.raises(Misconfigured, match=r"lacks the scope mail\.send"):
        check_sendgrid(sendgrid(stub.url))


@pytest.mark.parametrize("document", [[], {"scopes": None}, {}, "yes"])
def test_an_answer_without_scopes_is_no_acceptance(stub: Stub, document: Any) -> None:
    answers(stub, document)
    with pytest.raises(OutcomeUnknown):
        check_sendgrid(sendgrid(stub.url))


def test_a_host_that_makes_no_url_is_said_to_be_none() -> None:
    for check, connection in ((check_sendgrid, sendgrid("http://a..b")), (check_twilio, twilio("http://a..b"))):
        with pytest.raises(Misconfigured, match="makes no URL"):
            check(connection)


def test_an_active_account_is_taken_and_a_trial_is_a_warning(stub: Stub) -> None:
    for kind, is_warning in {"Full": False, "Trial": True}.items():
        answers(stub, {"sid": SID, "status": "active", "type": kind})
        assert check_twilio(twilio(stub.url)).is_warning is is_warning
    assert {(asked.method, asked.path) for asked in stub.requests} == {("GET", f"{ACCOUNT}.json")}


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_an_account_that_is_not_active_is_refused(stub: Stub, status: str) -> None:
    answers(stub, {"sid": SID, "status": status, "type": "Full"})
    with pytest.raises(Misconfigured, match=f"the account is {status}"):
        check_twilio(twilio(stub.url))


@pytest.mark.parametrize("document", [{}, {"sid": SID}])
def test_an_account_without_a_status_is_no_acceptance(stub: Stub, document: Any) -> None:
    answers(stub, document)
    with pytest.raises(OutcomeUnknown):
        check_twilio(twilio(stub.url))


def test_an_api_key_is_asked_for_a_page_of_messages_as_it_may_not_read_the_account(stub: Stub) -> None:
    answers(stub, {"messages": [], "page_size": 1, "uri": f"{ACCOUNT}/Messages.json"})
    assert not check_twilio(twilio(stub.url, login=KEY, extra={"account_sid": SID})).is_warning
    (asked,) = stub.requests
    assert (asked.method, asked.path.partition("?")[0]) == ("GET", f"{ACCOUNT}/Messages.json")


@pytest.mark.parametrize("status", [401, 403])
def test_an_api_key_that_may_read_nothing_may_still_send(stub: Stub, status: int) -> None:
    answers(stub, {"code": 20003, "message": "Authenticate"}, status)
    checked = check_twilio(twilio(stub.url, login=KEY, extra={"account_sid": SID}))
    assert checked.is_warning
    assert "may only send" in checked.words
    with pytest.raises(Misconfigured):
        check_twilio(twilio(stub.url))


@pytest.mark.parametrize("check", [check_sendgrid, check_twilio])
@pytest.mark.parametrize("trouble", ["reset", "hang", "500", "nobody"])
def test_a_provider_that_does_not_answer_is_told_without_secrets(stub: Stub, check: Any, trouble: str) -> None:
    stub.answer = lambda _: Reply(500) if trouble == "500" else Reply(trouble=trouble)
    url = f"http://127.0.0.1:{free_port()}" if trouble == "nobody" else stub.url
    connection = sendgrid(url) if check is check_sendgrid else twilio(url)
    with pytest.raises(SendError) as raised:
        check(connection)
    assert isinstance(raised.value, NotSent) is (trouble == "nobody")
    assert SECRET not in str(raised.value)
