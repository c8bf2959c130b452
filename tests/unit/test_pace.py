"""A channel's messages per second, and what lanes learn from providers that ask to be left alone."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from outbox.claims import Group
from outbox.pace import Pace
from outbox.shared import FAILED_BATCHES, Shared
from senders import registry
from senders.contract import EMAIL, WEBPUSH, Outcome, OutcomeKind
from warehouse import connections
from warehouse.errors import Misconfigured

NOW = datetime(2017, 10, 1, 14, tzinfo=UTC)
WAIT = timedelta(seconds=9)


def group(channel: str) -> Group:
    return Group("winback", channel, "d" * 64, "t" * 64)


def told(*outcomes: Outcome) -> dict[uuid.UUID, Outcome]:
    return {uuid.uuid4(): outcome for outcome in outcomes}


def limited(monkeypatch: pytest.MonkeyPatch, limit: object) -> None:
    document = {"password": "x", "extra": {"messages_per_second": limit}}
    monkeypatch.setenv(connections.variable(connections.SENDGRID), json.dumps(document))


def test_turns_follow_each_other_and_the_first_begins_at_once() -> None:
    pace = Pace(10)
    turns = [pace.book(5) for _ in range(4)]
    assert turns[0].wait == 0
    assert [round(turn.begin - turns[0].begin, 3) for turn in turns] == [0, 0.5, 1.0, 1.5]


def test_threads_that_book_at_once_get_turns_that_do_not_overlap() -> None:
    pace, turns = Pace(100), []
    threads = [threading.Thread(target=lambda: turns.append(pace.book(10))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ordered = sorted(turns, key=lambda turn: turn.begin)
    assert all(later.begin >= earlier.end for earlier, later in pairwise(ordered))


def test_what_was_booked_and_not_used_is_free_for_the_next_unless_somebody_is_behind() -> None:
    pace = Pace(1)
    first = pace.book(10)
    pace.give_back(first, 10)
    second = pace.book(10)
    assert second.wait == 0
    third = pace.book(1)
    pace.give_back(second, 10)
    assert pace.book(1).begin == third.end, "the turn behind it stays where it is"


def test_no_more_than_a_second_of_messages_goes_at_once_and_always_one() -> None:
    assert [Pace(rate).portion for rate in (0.2, 1, 3.9, 250)] == [1, 1, 3, 250]


def test_the_limit_stands_on_the_connection_and_shards_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 40)
    assert registry.messages_per_second(EMAIL) == 40
    whole, quarter = Shared().pace(EMAIL, 1), Shared().pace(EMAIL, 4)
    assert whole is not None
    assert quarter is not None
    assert (whole.portion, quarter.portion) == (40, 10)


def test_without_a_limit_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(connections.variable(connections.SENDGRID), raising=False)
    assert Shared().pace(EMAIL, 1) is None


@pytest.mark.parametrize("limit", [0, -1, "fast", "inf", "nan"])
def test_a_limit_that_is_no_number_above_zero_is_refused(monkeypatch: pytest.MonkeyPatch, limit: object) -> None:
    limited(monkeypatch, limit)
    with pytest.raises(Misconfigured, match="messages_per_second"):
        Shared().pace(EMAIL, 1)


@pytest.mark.parametrize("kind", [OutcomeKind.NOT_SENT, OutcomeKind.UNKNOWN])
def test_a_provider_that_asks_to_wait_is_left_alone_by_every_lane(kind: OutcomeKind) -> None:
    shared = Shared()
    shared.learn(group(EMAIL), told(Outcome(kind, error_code="http_503", retry_after=WAIT)), NOW)
    assert not shared.may_go(group(EMAIL), NOW + WAIT / 2)
    assert shared.may_go(group(EMAIL), NOW + WAIT)


def test_one_busy_push_service_does_not_silence_the_others() -> None:
    shared = Shared()
    busy = told(Outcome(OutcomeKind.NOT_SENT, error_code="http_429", retry_after=timedelta(hours=24)))
    shared.learn(group(WEBPUSH), busy, NOW, unreachable_after=2)
    assert shared.may_go(group(WEBPUSH), NOW)


def test_a_provider_that_fails_and_asks_to_wait_stops_the_campaign_all_the_same() -> None:
    shared = Shared()
    for _ in range(FAILED_BATCHES):
        shared.learn(group(EMAIL), told(Outcome(OutcomeKind.UNKNOWN, error_code="http_503", retry_after=WAIT)), NOW)
    assert shared.stopped == {"winback"}


def test_a_throttle_is_no_failure_of_the_campaign() -> None:
    shared = Shared()
    for _ in range(FAILED_BATCHES):
        shared.learn(group(EMAIL), told(Outcome(OutcomeKind.NOT_SENT, error_code="http_429", retry_after=WAIT)), NOW)
    assert shared.stopped == set()
