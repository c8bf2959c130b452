"""A walk through the states by whatever order of claims, answers, deaths, sweeps, webhooks and people
Hypothesis comes up with.

Beside the ledger it keeps the naive truth (how often each message really left), and compares the two after
every step.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from outbox import claims, outcomes
from outbox.claims import Claimed
from outbox.outcomes import Told
from outbox.sql import ledger
from senders.contract import Outcome, OutcomeKind
from tests.integration.handoff_stub import SEND_AT, Shop
from tests.integration.outbound import claim_due
from tests.integration.test_outbox_outcomes import event
from warehouse.errors import WinbackError

KINDS = st.sampled_from(OutcomeKind)


class Walk(RuleBasedStateMachine):
    """Messages of one shop, walked by everything that may happen to them."""

    shop: Shop
    attempts = Bundle("attempts")
    messages = Bundle("messages")

    def __init__(self) -> None:
        super().__init__()
        self.clock = SEND_AT
        self.left: Counter[uuid.UUID] = Counter()
        self.truth: dict[tuple[uuid.UUID, int], bool] = {}
        """Attempt -> whether it really left, once that is settled."""
        self.told_accepted: set[uuid.UUID] = set()

    @rule(target=messages, channels=st.sampled_from([["email"], ["sms", "email"]]), with_code=st.booleans())
    def plan(self, channels: list[str], with_code: bool) -> uuid.UUID:
        code = {"code": uuid.uuid4().hex, "promotion": "p"} if with_code else {}
        return self.shop.planned(channels=channels, not_after=SEND_AT + timedelta(days=9), **code)

    @rule(target=attempts, channel=st.sampled_from(["email", "sms"]), size=st.integers(1, 3))
    def claim(self, channel: str, size: int) -> object:
        return multiple(*claim_due(self.clock, channel=channel, size=size).opened)

    @rule(attempt=attempts, kind=KINDS, really_left=st.booleans())
    def answer(self, attempt: Claimed, kind: OutcomeKind, really_left: bool) -> None:
        """The sender tells what became of an attempt: perhaps late, perhaps twice, never against the truth."""
        left = self.settle(attempt, kind is OutcomeKind.ACCEPTED or (kind is OutcomeKind.UNKNOWN and really_left))
        if kind is OutcomeKind.ACCEPTED and not left:
            kind = OutcomeKind.NOT_SENT
        if kind in (OutcomeKind.NOT_SENT, OutcomeKind.REJECTED) and left:
            kind = OutcomeKind.UNKNOWN
        with ledger() as connection:
            told = Told(attempt.message_id, attempt.attempt_no, Outcome(kind, retry_after=timedelta(minutes=5)))
            outcomes.record(connection, [told], clock=self.clock)

    @rule(attempt=attempts, really_left=st.booleans())
    def die(self, attempt: Claimed, really_left: bool) -> None:
        """Its worker dies, before or after the call; the sweep finds it."""
        self.settle(attempt, really_left)
        self.shop.owner.execute(
            "update outbox.attempt set lease_until = clock_timestamp() - interval '1 second'"
            " where message_id = %s and attempt_no = %s and outcome = 'open'",
            [attempt.message_id, attempt.attempt_no],
        )
        with ledger() as connection:
            claims.sweep(connection, clock=self.clock)

    def settle(self, attempt: Claimed, left: bool) -> bool:
        """Fixes whether an attempt really left; what is fixed stays."""
        key = (attempt.message_id, attempt.attempt_no)
        if key not in self.truth:
            self.truth[key] = left
            self.left[attempt.message_id] += left
        return self.truth[key]

    @rule(message_id=messages)
    def webhook(self, message_id: uuid.UUID) -> None:
        """A provider reports about a message that really left."""
        if self.left[message_id]:
            for channel in ("email", "sms"):
                event(self.shop, "delivery_event", message_id, "delivered", channel=channel, occurred_at=self.clock)
        with ledger() as connection:
            outcomes.reconcile(connection, clock=self.clock)

    @rule(message_id=messages)
    def release(self, message_id: uuid.UUID) -> None:
        """A person who knows the truth settles a message in doubt."""
        with ledger() as connection:
            try:
                state = "accepted" if self.left[message_id] else "planned"
                outcomes.settle(connection, message_id, state, by="Kim", evidence="the provider's log")
            except WinbackError:
                assert self.state(message_id) != "in_doubt"

    @rule(message_id=messages)
    def webhook_after_release(self, message_id: uuid.UUID) -> None:
        """A person who is wrong releases what left; the provider's report lands afterwards, and nobody reconciles."""
        if not self.left[message_id]:
            return
        with ledger() as connection:
            try:
                outcomes.settle(connection, message_id, "planned", by="Kim", evidence="a guess")
            except WinbackError:
                assert self.state(message_id) in ("accepted", "sending", "planned", "rejected")
        for channel in ("email", "sms"):
            event(self.shop, "delivery_event", message_id, "delivered", channel=channel, occurred_at=self.clock)

    @rule()
    def expire(self) -> None:
        with ledger() as connection:
            claims.expire_overdue(connection, clock=self.clock, mode="simulated")

    @rule(hours=st.integers(1, 24))
    def wait(self, hours: int) -> None:
        self.clock += timedelta(hours=hours)

    def state(self, message_id: uuid.UUID) -> str:
        return str(self.shop.value("select state from outbox.message where id = %s", message_id))

    @invariant()
    def nothing_left_twice(self) -> None:
        assert all(count <= 1 for count in self.left.values()), self.left

    @invariant()
    def states_and_attempts_agree(self) -> None:
        rows = self.shop.rows(
            "select m.state, coalesce(array_agg(a.outcome order by a.attempt_no) filter (where a.outcome is "
            "not null), '{}') from outbox.message m left join outbox.attempt a on a.message_id = m.id group "
            "by m.id"
        )
        may_have_left = {"sending": ["open"], "accepted": ["accepted"], "in_doubt": ["unknown"]}
        for state, tried in rows:
            left = [outcome for outcome in tried if outcome not in ("not_sent", "rejected")]
            assert left == may_have_left.get(state, []), (state, tried)

    @invariant()
    def an_accepted_message_stays_accepted(self) -> None:
        accepted = {row[0] for row in self.shop.rows("select id from outbox.message where state = 'accepted'")}
        assert self.told_accepted <= accepted
        self.told_accepted = accepted

    @invariant()
    def codes_are_released_only_for_what_never_left(self) -> None:
        rows = self.shop.rows(
            "select m.id, m.state from outbox.message m join outbox.coupon_grant g on g.id = m.coupon_grant_id"
            " where g.released_at is not null"
        )
        assert all(
            state in ("skipped", "expired", "rejected") and not self.left[message_id] for message_id, state in rows
        )


@pytest.fixture
def walk(shop: Shop) -> Iterator[type[Walk]]:
    class InThisShop(Walk):
        def __init__(self) -> None:
            super().__init__()
            self.shop = shop
            # Every example begins anew; what an earlier one left is out of its way, and is never deleted.
            shop.owner.execute("update outbox.message set state = 'skipped' where state = 'planned'")

    yield InThisShop


def test_no_order_of_events_sends_twice_or_loses_a_state(walk: type[Walk]) -> None:
    run_state_machine_as_test(
        walk,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
