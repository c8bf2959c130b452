"""Alerts to the team: once a day and subject, tried again where they did not leave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from outbox import notices
from outbox.notices import Notice
from outbox.sql import ledger
from senders.contract import Outcome, OutcomeKind
from tests.integration.handoff_stub import DAY, SEND_AT, Shop
from tests.integration.outbound import ACCEPT, UNKNOWN
from warehouse.errors import Misconfigured

NOTICE = Notice("pool_dry", "winback_discount10", DAY, "The pool is dry", "Three people are held.")


def send_notices(answer: Any) -> tuple[dict[str, int], list[str]]:
    told: list[str] = []

    def notifier(title: str, body: str, notice_id: str) -> Outcome:
        told.append(title)
        result: Outcome = answer() if callable(answer) else answer
        return result

    with ledger() as connection:
        return dict(notices.send(connection, notifier, at=SEND_AT)), told


def post(notice: Notice = NOTICE) -> bool:
    with ledger() as connection:
        return notices.post(connection, notice, at=SEND_AT)


def test_a_notice_is_sent_once_a_day_and_subject(shop: Shop) -> None:
    assert (post(), post()) == (True, False)
    assert send_notices(ACCEPT) == ({"accepted": 1}, ["The pool is dry"])
    assert post() is False
    assert send_notices(ACCEPT) == ({}, [])


def test_a_notice_that_did_not_leave_waits_and_one_in_doubt_is_not_sent_again(shop: Shop) -> None:
    post()
    assert send_notices(Outcome(OutcomeKind.NOT_SENT))[0] == {"planned": 1}
    assert send_notices(UNKNOWN)[0] == {"in_doubt": 1}
    assert send_notices(ACCEPT) == ({}, [])


def test_a_way_out_that_refuses_us_is_an_error_and_the_notice_waits(shop: Shop) -> None:
    post()

    def refuse() -> Outcome:
        raise Misconfigured("no alerts connection")

    with pytest.raises(Misconfigured):
        send_notices(refuse)
    assert shop.value("select state from outbox.notice") == "planned"
    assert send_notices(ACCEPT)[0] == {"accepted": 1}


def test_a_notice_whose_sender_died_is_in_doubt(shop: Shop) -> None:
    post()
    with ledger() as connection:
        list(notices.queries.open_notices(connection, worker="dead", at=SEND_AT, lease=timedelta(seconds=-1)))
    assert send_notices(ACCEPT) == ({}, [])
    assert shop.value("select state from outbox.notice") == "in_doubt"
