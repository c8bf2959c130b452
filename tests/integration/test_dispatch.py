from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from outbox import claims, hold, lanes, outcomes
from outbox.dispatch import Dispatcher
from outbox.lanes import LONGEST_REST
from outbox.outcomes import Told
from outbox.sql import ledger, queries
from senders import contract
from senders.contract import EMAIL, Message, Outcome, OutcomeKind
from senders.memory.send import MemorySender
from tests.integration.handoff_stub import BUILT_AT, SEND_AT, UNTIL, Shop, campaign
from tests.integration.outbound import ACCEPT, REJECT, UNKNOWN, Outbound, claim_due, states, together
from warehouse import connections
from warehouse.clock import shown

POOL = {"promotion": "p", "step": "day60"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The machine's seconds, which stand still until a test moves them."""
    seconds = [0.0]
    for module in (hold, lanes):
        monkeypatch.setattr(module, "elapsed", lambda: seconds[0])
    return seconds


def test_a_planned_message_is_sent_once_at_its_hour(shop: Shop) -> None:
    message_id = shop.planned()
    out = Outbound()
    assert out.simulate().totals == {"accepted": 1}
    (channel, message), *others = out.sent
    assert (channel, message.fields["first_name"], message.fields["shop_name"], others) == (
        EMAIL,
        "Robin",
        "Riverside",
        [],
    )
    assert message.unsubscribe_url.startswith("https://links.example.com/unsubscribe/")
    assert message.fields["preferences_url"].startswith("https://links.example.com/preferences/")
    assert out.instants == [BUILT_AT, SEND_AT, UNTIL]
    row = shop.rows("select id, state, accepted_at, accepted_channel from outbox.message")
    assert row == [(message_id, "accepted", SEND_AT, "email")]
    assert out.simulate().totals == {}
    assert len(out.sent) == 1


def test_what_is_the_same_for_everybody_comes_from_the_steps_definition(shop: Shop) -> None:
    steps = [{"key": "day30", "merge_fields": {"step_url": "https://shop.example/", "shop_name": "Everybody's"}}]
    shop.define(campaign(steps=steps))
    shop.planned()
    out = Outbound()
    out.simulate()
    fields = out.sent[0][1].fields
    assert (fields["step_url"], fields["shop_name"]) == ("https://shop.example/", "Riverside")


def test_a_contact_without_a_name_is_addressed_all_the_same(shop: Shop) -> None:
    shop.planned(shop.contact(first_name=None))
    out = Outbound()
    out.simulate()
    assert out.sent[0][1].fields["first_name"] == "there"


def test_the_clock_steps_through_each_zone_and_the_end_of_quiet_hours(shop: Shop) -> None:
    west = datetime(2017, 10, 1, 17, tzinfo=UTC)
    shop.planned(shop.contact(timezone="America/Los_Angeles"), not_before=west)
    shop.planned(shop.contact(timezone="America/Los_Angeles"), channels=["sms"])
    shop.planned()
    out = Outbound()
    assert out.simulate().totals == {"accepted": 3, "deferred": 1}
    nine_in_los_angeles = datetime(2017, 10, 1, 16, tzinfo=UTC)
    assert out.instants == [BUILT_AT, SEND_AT, nine_in_los_angeles, west, UNTIL]
    assert [message.clock for _, message in out.sent] == [SEND_AT, west, nine_in_los_angeles]


def test_a_tag_comes_with_acceptance_and_not_before(shop: Shop) -> None:
    taken, refused = shop.contact(), shop.contact()
    for contact, code in ((taken, "A1"), (refused, "A2")):
        shop.planned(contact, tag="coupon_winback10", code=code, **POOL)
    out = Outbound(email=lambda message: REJECT if message.recipient.email == f"{refused}@example.com" else ACCEPT)
    out.simulate()
    assert shop.rows("select contact_id, tag, added_at from outbox.contact_tag") == [
        (taken, "coupon_winback10", SEND_AT)
    ]


def test_a_rejected_text_becomes_the_mail_and_the_number_is_suppressed(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact, channels=["sms", "email"], code="A1", **POOL)
    out = Outbound(sms=lambda _: REJECT)
    assert out.simulate().totals == {"planned": 1, "accepted": 1}
    rows = shop.rows("select attempt_no, channel, outcome, error_code from outbox.attempt order by 1")
    assert rows == [(1, "sms", "rejected", "21610"), (2, "email", "accepted", None)]
    hashed = shop.value("select outbox.address_hash('sms', phone) from raw.contacts")
    assert shop.rows("select channel, address_hash, reason from outbox.suppression") == [("sms", hashed, "stopped")]
    assert shop.value("select released_at from outbox.coupon_grant") is None


def test_a_rejection_on_the_last_channel_gives_the_code_back(shop: Shop) -> None:
    shop.planned(channels=["sms", "email"], code="A1", **POOL)
    out = Outbound(sms=lambda _: REJECT, email=lambda _: REJECT)
    out.simulate()
    assert states(shop) == {"rejected": 1}
    assert shop.value("select released_at from outbox.coupon_grant") == SEND_AT
    assert shop.rows("select name from outbox.contact_event order by name") == [
        ("coupon_assigned",),
        ("coupon_released",),
    ]


def test_a_message_in_doubt_keeps_its_code_and_is_not_sent_again(shop: Shop) -> None:
    shop.planned(code="A1", **POOL)
    out = Outbound(email=lambda _: UNKNOWN)
    out.simulate()
    out.simulate()
    assert (states(shop), len(out.sent)) == ({"in_doubt": 1}, 1)
    assert shop.value("select released_at from outbox.coupon_grant") is None


def test_what_was_not_sent_is_tried_again_when_the_provider_said(shop: Shop) -> None:
    shop.planned()
    answers = iter([Outcome(OutcomeKind.NOT_SENT, error_code="http_429", retry_after=timedelta(minutes=7)), ACCEPT])
    out = Outbound(email=lambda _: next(answers))
    assert out.simulate().totals == {"planned": 1, "accepted": 1}
    assert out.instants == [BUILT_AT, SEND_AT, SEND_AT + timedelta(minutes=7), UNTIL]
    assert shop.rows("select outcome from outbox.attempt order by attempt_no") == [("not_sent",), ("accepted",)]


def test_without_a_word_from_the_provider_the_pauses_double(shop: Shop) -> None:
    shop.planned()
    answers = iter([Outcome(OutcomeKind.NOT_SENT, error_code="refused")] * 3 + [ACCEPT])
    out = Outbound(email=lambda _: next(answers))
    out.simulate()
    tried = [row[0] for row in shop.rows("select opened_at from outbox.attempt order by 1")]
    assert [(later - earlier).seconds for earlier, later in pairwise(tried)] == [30, 60, 120]


def test_all_lanes_together_keep_to_the_channels_messages_a_second(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"password": "x", "extra": {"sandbox": True, "messages_per_second": 10}}
    monkeypatch.setenv(connections.variable(connections.SENDGRID), json.dumps(document))
    shop.planned_many(25)
    taken: list[float] = []
    out = Outbound(email=lambda _: taken.append(time.monotonic()) or ACCEPT)
    assert out.simulate(connections=4).totals == {"accepted": 25}
    # 10 at once, 10 a second later, 5 another one later.
    assert [round(at - taken[0]) for at in sorted(taken)] == [0] * 10 + [1] * 10 + [2] * 5


def test_a_limit_that_is_none_claims_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        connections.variable(connections.SENDGRID), json.dumps({"extra": {"messages_per_second": "fast"}})
    )
    shop.planned()
    done = Outbound().simulate()
    assert "messages_per_second" in done.misconfigured["email"]
    assert shop.value("select count(*) from outbox.attempt") == 0


def test_a_batch_never_mixes_templates_and_is_never_larger_than_the_sender_takes(shop: Shop) -> None:
    other = "cd" * 32
    shop.owner.execute(
        "insert into outbox.template (template_hash, text, subject, html) values (%s, 'x', 'y', 'z')", [other]
    )
    shop.planned_many(15)
    shop.planned_many(15, template_hash=other)
    batches: list[set[str]] = []
    sizes: list[int] = []

    class Watching(MemorySender):
        def send(self, messages: Any) -> Any:
            batches.append({message.template.template_hash for message in messages})
            sizes.append(len(messages))
            return super().send(messages)

    sender = Watching(batch_size=4)
    Dispatcher(lambda *_: sender, connections=2).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert (len(sender.inbox), {len(each) for each in batches}, max(sizes)) == (30, {1}, 4)
    assert len({message.message_id for message in sender.inbox}) == 30


def test_an_answer_after_the_sweep_still_counts(shop: Shop) -> None:
    message_id = shop.planned(tag="t")
    (claimed,) = claim_due().opened
    sweep_all(shop)
    assert states(shop) == {"in_doubt": 1}
    with ledger() as connection:
        outcomes.record(connection, [Told(message_id, claimed.attempt_no, ACCEPT)], clock=SEND_AT)
    assert states(shop) == {"accepted": 1}
    assert shop.value("select evidence ->> 'source' from outbox.attempt") == "late answer"
    assert shop.value("select count(*) from outbox.contact_tag") == 1


def test_an_outcome_told_twice_is_believed_once(shop: Shop) -> None:
    message_id = shop.planned()
    claim_due()
    with ledger() as connection:
        told = [Told(message_id, 1, ACCEPT)]
        assert outcomes.record(connection, told, clock=SEND_AT) == {"accepted": 1}
        assert outcomes.record(connection, [Told(message_id, 1, REJECT)], clock=SEND_AT) == {"ignored": 1}
    assert states(shop) == {"accepted": 1}


def test_a_lease_that_is_kept_alive_is_not_swept(shop: Shop) -> None:
    shop.planned()
    claim_due()
    shop.owner.execute("update outbox.attempt set lease_until = clock_timestamp() - interval '1 second'")
    with ledger() as connection:
        claims.extend(connection, ["test"])
        assert claims.sweep(connection, clock=SEND_AT) == 0


def test_sigterm_finishes_the_calls_that_have_begun_and_hands_nothing_more_over(shop: Shop) -> None:
    shop.planned_many(60)

    def answer(_: Message) -> Outcome:
        if len(sender.inbox) == 2:
            dispatcher.stop()
        return ACCEPT

    sender = MemorySender(batch_size=10, answer=answer)
    dispatcher = Dispatcher(lambda *_: sender, connections=1)
    done = dispatcher.simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert done.totals == {"accepted": 3, "planned": 17}
    assert states(shop) == {"accepted": 3, "planned": 57}
    assert shop.rows("select distinct error_code from outbox.attempt where outcome = 'not_sent'") == [("stopped",)]
    assert Outbound().simulate().totals == {"accepted": 57}


def test_what_a_provider_asked_of_one_process_every_other_one_knows(shop: Shop) -> None:
    shop.planned_many(2)
    asked = Outcome(OutcomeKind.NOT_SENT, error_code="http_429", retry_after=timedelta(hours=1))
    soon, ends = SEND_AT + timedelta(minutes=1), SEND_AT + timedelta(hours=1)
    Outbound(batch_size=1, email=lambda _: asked).simulate(until=soon, connections=1)
    shop.planned_many(3)
    early = Outbound()
    waiting = early.simulate(soon, soon + timedelta(minutes=1)).resting[EMAIL]
    assert (early.sent, waiting.waiting, waiting.until) == ([], 5, ends)
    assert str(waiting) == f"5 messages wait: sendgrid (email) asked to be left alone until {shown(ends)}."
    tried: set[datetime] = set()

    def answer(message: Message) -> Outcome:
        tried.add(message.now)
        return ACCEPT

    done = Outbound(email=answer).simulate(soon)
    assert (done.totals, tried, done.resting) == ({"accepted": 5}, {ends}, {})


def test_a_process_under_way_hears_what_its_provider_asks_of_another(shop: Shop, machine: list[float]) -> None:
    shop.planned_many(60)

    def answer(_: Message) -> Outcome:
        if not machine[0]:
            machine[0] = 1.0
            told = {"channel": EMAIL, "mode": "simulated", "until": SEND_AT + timedelta(minutes=30)}
            with ledger() as connection:
                queries.keep_cooldown(connection, clock=SEND_AT, longest=LONGEST_REST, **told)
        return ACCEPT

    out = Outbound(batch_size=20, email=answer)
    assert out.simulate(until=SEND_AT + timedelta(minutes=1), connections=1).totals == {"accepted": 20}


def test_a_rest_that_was_asked_for_on_a_later_day_of_a_simulation_holds_up_no_earlier_one(shop: Shop) -> None:
    shop.planned()
    later = UNTIL + timedelta(days=5)
    with ledger() as connection:
        told = {"channel": EMAIL, "mode": "simulated", "until": later, "longest": LONGEST_REST}
        queries.keep_cooldown(connection, clock=later, **told)
    assert Outbound().simulate().totals == {"accepted": 1}


def test_a_process_that_was_frozen_for_longer_than_its_lease_hands_nothing_more_over(
    shop: Shop, machine: list[float]
) -> None:
    shop.planned_many(10)

    def answer(_: Message) -> Outcome:
        if len(out.sent) == 3 and not machine[0]:
            machine[0] = claims.LEASE.total_seconds()
        return ACCEPT

    out = Outbound(email=answer)
    assert out.simulate(connections=1).totals == {"accepted": 10, "planned": 6}
    assert len({message.message_id for _, message in out.sent}) == 10
    kept_back = "select outcome, error_code, count(*) from outbox.attempt where attempt_no = 1 group by 1, 2 order by 1"
    assert shop.rows(kept_back) == [("accepted", None, 4), ("not_sent", "lease_lost", 6)]


def test_a_worker_that_lost_its_batch_meanwhile_hands_over_no_later_part_of_it_either(
    shop: Shop, machine: list[float]
) -> None:
    shop.planned_many(10)

    def answer(_: Message) -> Outcome:
        if len(out.sent) == 1:
            machine[0] = claims.LEASE.total_seconds()
            shop.owner.execute("update outbox.attempt set lease_until = clock_timestamp() - interval '1 second'")
            with ledger() as connection:
                assert claims.sweep(connection, clock=SEND_AT) == 10
        return ACCEPT

    out = Outbound(batch_size=2, email=answer)
    out.simulate(connections=1)
    assert (len(out.sent), states(shop)) == (10, {"accepted": 10})
    first = "select outcome, error_code, count(*) from outbox.attempt where attempt_no = 1 group by 1, 2 order by 1"
    assert shop.rows(first) == [("accepted", None, 2), ("not_sent", "lease_lost", 8)]


@pytest.mark.parametrize(("patience", "batches"), [(0.0, [1] * 6), (3600.0, [6])])
def test_what_is_open_does_not_wait_long_for_a_batch_to_fill(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, patience: float, batches: list[int]
) -> None:
    shop.planned_many(6)
    monkeypatch.setattr(claims, "CLAIM_SIZE", 1)
    monkeypatch.setattr(lanes, "FILL_SECONDS", patience)
    sizes: list[int] = []

    class Counting(MemorySender):
        def send(self, messages: Any) -> Any:
            sizes.append(len(messages))
            return super().send(messages)

    sender = Counting()
    Dispatcher(lambda *_: sender, connections=1).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert (sizes, states(shop)) == (batches, {"accepted": 6})


def test_the_database_going_away_before_the_answer_is_written_loses_nothing(shop: Shop) -> None:
    shop.planned()

    class Cutting(MemorySender):
        def send(self, messages: Any) -> Any:
            shop.owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                " and application_name = 'winback winback_sender'"
            )
            return super().send(messages)

    sender = Cutting()
    with pytest.raises(psycopg.OperationalError):  # the dispatcher's own connection was cut as well: it ends, loudly
        Dispatcher(lambda *_: sender, connections=1).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert (states(shop), len(sender.inbox)) == ({"accepted": 1}, 1)


def test_two_dispatchers_at_once_send_each_message_once(shop: Shop) -> None:
    shop.planned_many(80)
    out = Outbound(batch_size=5)
    together(*[lambda: out.simulate(connections=2)] * 3)
    assert states(shop) == {"accepted": 80}
    assert len(out.sent) == len({message.message_id for _, message in out.sent}) == 80


def test_a_live_pass_sends_what_is_due_now_and_waits_for_nothing_later(shop: Shop) -> None:
    now = datetime.now(UTC)
    times = {"not_after": now + timedelta(days=3)}
    shop.planned(run_mode="live", not_before=now - timedelta(minutes=1), **times)
    shop.planned(run_mode="live", not_before=now + timedelta(hours=1), **times)
    out = Outbound()
    assert Dispatcher(out.factory).live().totals == {"accepted": 1}
    accepted_at = shop.value("select accepted_at from outbox.message where state = 'accepted'")
    assert abs(accepted_at - datetime.now(UTC)) < timedelta(seconds=30)


def test_a_live_pass_waits_out_a_short_pause_that_the_provider_asked_for(shop: Shop) -> None:
    now = datetime.now(UTC)
    shop.planned(run_mode="live", not_before=now - timedelta(minutes=1), not_after=now + timedelta(days=3))
    answers = iter([Outcome(OutcomeKind.NOT_SENT, retry_after=timedelta(seconds=1)), ACCEPT])
    out = Outbound(email=lambda _: next(answers))
    assert Dispatcher(out.factory).live().totals == {"planned": 1, "accepted": 1}


def test_behind_slow_answers_a_live_pass_hands_nothing_over_after_its_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, passed = datetime.now(UTC), [0.0]
    times = {"not_before": now - timedelta(minutes=1), "not_after": now + timedelta(days=3)}
    for _ in range(3):
        shop.planned(run_mode="live", **times)
    monkeypatch.setattr(contract, "elapsed", lambda: time.monotonic() + passed[0])

    def answer(_: Message) -> Outcome:
        passed[0] += timedelta(days=2).total_seconds()
        return ACCEPT

    out = Outbound(email=answer)
    assert Dispatcher(out.factory).live().totals["accepted"] == 2
    assert dict(shop.rows("select coalesce(error_code, 'taken'), count(*) from outbox.attempt group by 1")) == {
        "taken": 2,
        "too_late": 1,
    }


def test_a_simulated_clock_stands_still_while_a_slow_provider_answers(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.planned_many(3)
    passed = [0.0]
    monkeypatch.setattr(contract, "elapsed", lambda: passed[0])

    def answer(_: Message) -> Outcome:
        passed[0] += timedelta(days=2).total_seconds()
        return ACCEPT

    assert Outbound(email=answer).simulate().totals == {"accepted": 3}


KILLED = """
import os, signal, sys
from outbox.dispatch import Dispatcher
from senders.memory.send import MemorySender
from tests.integration.handoff_stub import BUILT_AT, UNTIL

class Deadly(MemorySender):
    calls = 0
    def send(self, messages):
        self.calls += 1
        if self.calls == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().send(messages)

sender = Deadly(batch_size=5)
Dispatcher(lambda *_: sender, connections=1).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
"""


@pytest.mark.parametrize("call", [1, 3, 5])
def test_a_killed_process_leaves_its_attempts_in_doubt_and_nothing_is_sent_twice(shop: Shop, call: int) -> None:
    shop.planned_many(45)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(call)], env=dict(os.environ), check=False)
    assert killed.returncode == -signal.SIGKILL
    # It had taken 20 at a time; what it had not recorded is open, whoever was called and whoever was not.
    recorded = (call - 1) // 4 * 20
    assert shop.value("select count(*) from outbox.attempt where outcome = 'open'") == 20
    out = Outbound()
    assert out.simulate().totals == {"accepted": 25 - recorded}
    sweep_all(shop)
    assert out.simulate().totals == {}
    assert states(shop) == {"accepted": 25, "in_doubt": 20}


def test_a_claim_that_is_killed_before_its_commit_leaves_everything_planned(shop: Shop) -> None:
    shop.planned()
    with ledger() as connection:
        pid = connection.info.backend_pid
        with pytest.raises(psycopg.OperationalError), connection.transaction():
            (group,) = claims.due_groups(connection, clock=SEND_AT, mode="simulated", shard=claims.Shard())
            rules = claims.Rules.of(campaign())
            claims.claim(
                connection, group, rules, clock=SEND_AT, mode="simulated", shard=claims.Shard(), worker="w", size=5
            )
            shop.owner.execute("select pg_terminate_backend(%s)", [pid])
            time.sleep(0.2)
    assert (states(shop), shop.value("select count(*) from outbox.attempt")) == ({"planned": 1}, 0)
    assert Outbound().simulate().totals == {"accepted": 1}


def sweep_all(shop: Shop) -> None:
    """As if every lease had run out."""
    shop.owner.execute(
        "update outbox.attempt set lease_until = clock_timestamp() - interval '1 second' where outcome = 'open'"
    )
    with ledger() as connection:
        claims.sweep(connection, clock=SEND_AT)


def test_what_a_text_costs_is_stored_before_it_is_sent(shop: Shop) -> None:
    """A worker that dies during the call leaves the cost behind; an answer without it takes nothing away."""
    shop.planned_many(3, channels=["sms"])
    stored: list[Any] = []

    def look(_: Message) -> Outcome:
        stored.extend(shop.rows("select segments, encoding from outbox.attempt where outcome = 'open'"))
        return ACCEPT

    Outbound(sms=look).simulate()
    assert stored == [(1, "GSM-7")] * 9
    assert shop.rows("select segments, encoding from outbox.attempt") == [(1, "GSM-7")] * 3
