"""A campaign that stops itself when too large a share of its messages fails, whoever sends them."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from cli.dispatch import complain
from outbox import brakes, claims
from outbox.brakes import Limits
from outbox.claims import Shard
from outbox.sql import ledger
from senders.contract import Outcome, OutcomeKind
from tests.integration.handoff_stub import SEND_AT, UNTIL, Shop, campaign
from tests.integration.outbound import ACCEPT, UNKNOWN, Answer, Outbound, claim_due, states
from warehouse.errors import WinbackError

SOON = SEND_AT + timedelta(minutes=30)
REFUSED = Outcome(OutcomeKind.REJECTED, error_code="30007")
INVALID = Outcome(OutcomeKind.REJECTED, error_code="21211", suppress="invalid")
NOT_SERVED = Outcome(OutcomeKind.REJECTED, error_code="21408", is_address_fault=True)
MESSAGES = 80


@pytest.fixture
def failing(shop: Shop) -> Shop:
    """A campaign that stops at 20 % of 20 messages, with many to send."""
    shop.define(campaign(errors={"stop_percent": 20, "of_at_least": 20, "within_minutes": 60}))
    shop.planned_many(MESSAGES)
    return shop


def every(number: int, outcome: Outcome) -> Answer:
    """Each so-manieth message meets this outcome, the others are accepted."""
    counted = itertools.count(1)
    return lambda _: outcome if next(counted) % number == 0 else ACCEPT


@pytest.mark.parametrize("outcome", [UNKNOWN, REFUSED], ids=["unknown", "rejected"])
def test_failures_among_acceptances_stop_the_campaign_in_the_middle_and_tell_the_team(
    failing: Shop, outcome: Outcome
) -> None:
    done = Outbound(batch_size=10, email=every(3, outcome)).simulate(until=SOON, connections=1)
    assert states(failing) == {
        "accepted": 14, {"unknown": "in_doubt"}.get(outcome.kind.value, "rejected"): 6, "planned": MESSAGES - 20,
    }  # fmt: skip
    assert done.stopped == set()  # not one batch failed as a whole
    (why,) = done.braked.values()
    assert "6 of the last 20 messages failed (30 %; its limit is 20 % within 60 minutes)" in why
    assert failing.rows("select kind, subject, body from outbox.notice") == [("campaign_stopped", "winback email", why)]
    with pytest.raises(WinbackError, match=r"stopped itself on email.*The team was told"):
        complain(done)


def test_the_stop_outlives_its_process_and_holds_for_the_other_shards(failing: Shop) -> None:
    Outbound(batch_size=10, email=every(3, UNKNOWN)).simulate(until=SOON, connections=1)
    for shard in (Shard(), Shard(0, 2), Shard(1, 2)):
        later = Outbound()
        done = later.simulate(start=SEND_AT + timedelta(minutes=20), until=SOON, shard=shard)
        assert (later.sent, done.totals, done.braked) == ([], {}, {})
        assert list(done.waiting) == ["winback email"]
        complain(done)  # it was said when it stopped
    assert failing.value("select count(*) from outbox.notice") == 1


def test_what_the_team_is_told_is_dated_by_the_day_of_the_campaigns_zone(shop: Shop) -> None:
    """As the runs are: otherwise the page of a day would show the alerts of another."""
    errors = {"stop_percent": 20, "of_at_least": 20, "within_minutes": 60}
    shop.define(campaign(errors=errors, timezone="Pacific/Auckland"))
    shop.planned_many(MESSAGES)
    Outbound(batch_size=10, email=every(3, UNKNOWN)).simulate(until=SOON, connections=1)
    assert shop.value("select on_day from outbox.notice") == SEND_AT.date() + timedelta(days=1)


def test_the_stop_ends_by_itself_when_its_window_has_passed(failing: Shop) -> None:
    Outbound(batch_size=10, email=every(3, UNKNOWN)).simulate(until=SOON, connections=1)
    out = Outbound()
    assert out.simulate(until=UNTIL).totals == {"accepted": MESSAGES - 20}
    assert SEND_AT + timedelta(hours=1) in out.instants


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(3, INVALID), (3, NOT_SERVED), (6, UNKNOWN)],
    ids=["the addresses are dead", "the addresses are to blame and stay good", "few enough"],
)
def test_what_is_no_failure_of_the_campaign_does_not_stop_it(failing: Shop, number: int, outcome: Outcome) -> None:
    done = Outbound(batch_size=10, email=every(number, outcome)).simulate(until=SOON, connections=1)
    assert done.braked == {}
    assert "planned" not in states(failing)


def test_failures_before_the_window_are_not_counted_with_the_few_within_it(failing: Shop) -> None:
    Outbound(batch_size=10, email=every(3, UNKNOWN)).simulate(until=SOON, connections=1)
    hours_later = SEND_AT + timedelta(hours=2)
    done = Outbound(batch_size=10, email=every(10, UNKNOWN)).simulate(start=hours_later, connections=1)
    assert (done.braked, done.waiting) == ({}, {})
    # 6 of the 12 failed hours ago: with them it would have been 10 of 46 when the share was looked at.
    assert states(failing) == {"accepted": 14 + 54, "in_doubt": 6 + 6}


def test_messages_that_a_dead_worker_left_in_doubt_do_not_stop_it(failing: Shop) -> None:
    assert len(claim_due(size=40).opened) == 40
    failing.owner.execute("update outbox.attempt set lease_until = clock_timestamp() - interval '1 second'")
    with ledger() as connection:
        assert claims.sweep(connection, clock=SEND_AT) == 40
    assert Outbound().simulate(until=SOON).totals["accepted"] == MESSAGES - 40


def test_another_channel_and_another_campaign_go_on(failing: Shop) -> None:
    Outbound(batch_size=10, email=every(3, UNKNOWN)).simulate(until=SOON, connections=1)
    with ledger() as connection:
        limits = Limits(20, 20, 60)
        found = brakes.failing(connection, "winback", "email", limits, clock=SOON)
        assert found is not None
        assert found.until == SEND_AT + timedelta(hours=1)
        for name, channel in (("winback", "sms"), ("reactivation", "email")):
            assert brakes.failing(connection, name, channel, limits, clock=SOON) is None


def test_a_definition_from_before_there_were_limits_has_the_defaults() -> None:
    assert Limits.of({"campaign": "winback"}) == Limits(stop_percent=20, of_at_least=200, within_minutes=60)
