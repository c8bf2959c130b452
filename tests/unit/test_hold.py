"""A lane's hold on its batch: sure for a while, renewed in time, and lost for good once it was not."""

from __future__ import annotations

import threading

import pytest

from outbox import claims, hold
from outbox.hold import Hold

SURE = 240.0
"""Seconds: of a lease of five minutes."""


class Desk:
    """A hold at second 0 of a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stopping = threading.Event()
        self.hold = Hold(0.0, self.stopping)

    @property
    def why(self) -> str | None:
        found = self.hold.why_not()
        return found.code if found else None


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()
    monkeypatch.setattr(hold, "elapsed", lambda: made.now)
    return made


def test_it_is_sure_for_less_than_a_lease(desk: Desk) -> None:
    desk.now = SURE - 1
    assert desk.why is None
    desk.now = SURE
    assert desk.why == "lease_lost"
    assert claims.LEASE.total_seconds() > SURE


def test_renewed_in_time_it_goes_on(desk: Desk) -> None:
    desk.now = SURE - 1
    desk.hold.renew(desk.now)
    desk.now = 2 * SURE - 2
    assert desk.why is None


def test_renewed_too_late_it_stays_lost_for_others_may_have_swept_it(desk: Desk) -> None:
    desk.now = SURE + 1
    desk.hold.renew(desk.now)
    assert desk.why == "lease_lost"


def test_a_renewal_that_was_through_too_late_renews_nothing(desk: Desk) -> None:
    desk.now = SURE + 1
    desk.hold.renew(SURE - 1)
    assert desk.why == "lease_lost"


def test_an_old_renewal_takes_nothing_back(desk: Desk) -> None:
    desk.now = 100.0
    desk.hold.renew(100.0)
    desk.hold.renew(50.0)
    desk.now = 99 + SURE
    assert desk.why is None


def test_a_renewal_counts_from_when_it_began_and_not_from_when_it_was_through(desk: Desk) -> None:
    desk.now = 90.0
    desk.hold.renew(60.0)
    desk.now = 60 + SURE
    assert desk.why == "lease_lost"


def test_a_process_that_is_told_to_stop_hands_nothing_more_over(desk: Desk) -> None:
    desk.stopping.set()
    assert desk.why == "stopped"
