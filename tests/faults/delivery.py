"""Experiments on the way from claim to outcome: killed, stopped, or left without an answer by the provider."""

from __future__ import annotations

import itertools
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial

import psycopg

from outbox import outcomes
from senders.contract import EMAIL, WEBPUSH
from tests.faults import points
from tests.faults import shop as shops
from tests.faults.crew import LEASE
from tests.faults.rounds import Experiment, Round


def _killed_at(*moments: points.Point, times: tuple[int, int]) -> Callable[[Round], None]:
    """A worker killed at each of the moments in turn, so many times; then others go on."""

    def play(it: Round) -> None:
        for number in range(it.some(*times)):
            moments[number % len(moments)](it.crew)
        it.crew.finish()

    return play


def _without_an_answer(it: Round) -> None:
    """A provider that takes a message and cuts the line, says nothing, or answers 500; or does so without taking it."""
    it.sandbox.set_faults(
        {"kind": "drop", "accepted": True, "probability": 0.2},
        {"kind": "hang", "accepted": True, "seconds": 4, "probability": 0.05},
        {"kind": "error", "accepted": True, "probability": 0.1},
        {"kind": "error", "accepted": False, "probability": 0.05},
        {"kind": "nonsense", "accepted": True, "probability": 0.05},
        seed=it.dice.randrange(1_000_000),
    )
    it.crew.finish()


def _throttled(it: Round) -> None:
    """Three requests with e-mails of four are refused with 429 and Retry-After, and one notification of ten: after it
    the whole push service is left alone."""
    probability = {EMAIL: 0.75, WEBPUSH: 0.1}[it.channel]
    it.sandbox.set_faults(
        {"kind": "throttle", "probability": probability, "retry_after": 1}, seed=it.dice.randrange(1_000_000)
    )
    it.crew.finish(workers=1)


def _bad_recipient(it: Round) -> None:
    """One address of all is refused, with its whole batch."""
    number = it.dice.randrange(1, it.people + 1)
    it.crew.batch = 100
    it.sandbox.set_faults({"kind": "bad_recipient", "channel": "email", "pattern": f"^c{number:05}@"})
    it.crew.finish()
    if it.ours:
        states = dict(it.shop.rows("select state, count(*) from outbox.message group by state"))
        assert states == {"accepted": it.people - 1, "rejected": 1}, states


SLEPT_IN = """
select exists (
    select from pg_stat_activity
    where datname = current_database() and state = 'idle in transaction'
        and clock_timestamp() - state_change > interval '2 seconds'
)
"""


def _stopped_past_its_lease(it: Round) -> None:
    """A worker is stopped with batches in hand, another sweeps and goes on, somebody releases what never left and it is
    sent, the first one wakes up and goes on."""
    it.crew.batch = 5  # a claim of 20 goes out in four requests: it is stopped between them
    for _ in range(it.some(3, 1)):
        before = it.crew.receipts()
        it.sandbox.set_faults({"kind": "hang", "accepted": True, "seconds": LEASE + 3, "next": it.crew.lanes})
        sleeper = it.crew.start()
        it.crew.until_sent(before)
        sleeper.send_signal(signal.SIGSTOP)
        time.sleep(LEASE + 0.5)
        it.sandbox.set_faults({"kind": "latency", "seconds": 0.2})
        other = it.crew.start()
        it.crew.until("another has taken over", partial(_is_over, it, sleeper))
        other.terminate()
        other.wait()
        if it.ours:
            _release(it)
        sleeper.send_signal(signal.SIGCONT)
        it.crew.until("the first one ends, too", partial(_ended, sleeper))
    it.crew.finish()


WAITING = "select count(*) from outbox.message where id = any(%(ids)s) and state in ('planned', 'sending')"


def _release(it: Round) -> None:
    """As `winback release --fate never-left`, for everything in doubt that no provider has: a person who looked it up
    is right. Then it is sent."""
    taken = {receipt["message_id"] for receipt in it.sandbox.receipts()}
    with psycopg.connect(it.url, autocommit=True) as desk:
        doubtful = desk.execute("select id from outbox.message where state = 'in_doubt'").fetchall()
        never_left = [each for (each,) in doubtful if str(each) not in taken]
        for each in never_left:
            outcomes.settle(desk, each, "planned", by="somebody", evidence="no provider has it")
    worker = it.crew.start()
    it.crew.until("what was released is sent", lambda: not it.crew.value(WAITING, {"ids": never_left}))
    worker.terminate()
    worker.wait()


def _is_over(it: Round, sleeper: subprocess.Popen[bytes]) -> bool:
    """Another has swept what the sleeper had in hand; or nobody can, while a transaction that it sleeps in keeps it."""
    return not it.crew.opened(sleeper) or bool(it.crew.value(SLEPT_IN, {}))


def _ended(worker: subprocess.Popen[bytes]) -> bool:
    return worker.poll() is not None


PARTS = (("--shard", "1/2"), ("--shard", "2/2"), ())
"""What mapped tasks are told, and the dispatch of every quarter of an hour."""


def _racing(it: Round) -> None:
    """Tasks of the same day, mapped, retried and cleared ones among them: many dispatches at once, some of a part and
    some of the whole, some ended by SIGTERM."""
    parts = itertools.cycle(PARTS)

    def start() -> None:
        it.crew.told = next(parts)
        it.crew.start()

    it.sandbox.set_faults({"kind": "latency", "seconds": 0.05})
    for _ in range(it.some(4, 3)):
        start()
    for _ in range(it.some(4, 2)):
        time.sleep(it.dice.uniform(0.7, 1.6))
        if it.crew.reap():
            it.crew.live[0].terminate()
        start()
    it.crew.told = ()
    it.crew.finish(workers=3)


def _plan_two_runs(it: Round) -> None:
    """Two runs, each with half of the people, due at the same time."""
    half = it.people // 2
    shops.plan(it.shop, it.people, last=half)
    _, _, run_id = shops.later(it.shop, 1)
    shops.request(it.shop, run_id, first=half + 1)
    assert it.shop.enqueue(run_id).messages == it.people - half


def _at_random(it: Round) -> None:
    """Workers killed at random moments, through a provider that misbehaves in every way it knows."""
    it.sandbox.set_faults(
        {"kind": "latency", "seconds": 0.15},
        {"kind": "drop", "accepted": True, "probability": 0.06},
        {"kind": "hang", "accepted": True, "seconds": 4, "probability": 0.02},
        {"kind": "error", "accepted": True, "probability": 0.04},
        {"kind": "error", "accepted": False, "probability": 0.04},
        {"kind": "throttle", "probability": 0.05, "retry_after": 1},
        seed=it.dice.randrange(1_000_000),
    )
    kills = it.some(25, 4)
    while it.crew.kills < kills and it.crew.unfinished():
        it.crew.reap()
        while len(it.crew.live) < 3:
            it.crew.start()
        time.sleep(it.dice.uniform(0.1, 0.9))
        if it.crew.reap():
            it.crew.kill(it.crew.live[0])
    it.crew.finish(workers=3)


EXPERIMENTS = (
    Experiment(
        "claim-uncommitted", "killed before the claim commits",
        _killed_at(points.before_the_claim_commits, times=(4, 1)), doubt=False, channels=(EMAIL, WEBPUSH),
    ),
    Experiment(
        "attempt-uncalled", "killed between attempt and call",
        _killed_at(points.between_attempt_and_call, times=(4, 1)), channels=(WEBPUSH, EMAIL),
    ),
    Experiment(
        "accepted-unrecorded", "killed after acceptance, before the commit",
        _killed_at(points.after_acceptance_before_commit, points.with_the_answer_in_hand, times=(4, 2)),
        shows="duplicated", channels=(WEBPUSH, EMAIL),
    ),
    Experiment(
        "no-answer", "accepted, then drop, hang, 500 or nonsense", _without_an_answer, shows="duplicated",
        channels=(EMAIL, WEBPUSH),
    ),
    Experiment("throttled", "a storm of 429", _throttled, doubt=False, channels=(WEBPUSH, EMAIL)),
    Experiment(
        "bad-recipient", "one bad recipient in 1,000", _bad_recipient, people=(1000, 200), seeds=(2, 1), doubt=False,
        excused=frozenset({"http_400"}),
    ),
    Experiment(
        "stopped", "stopped past the lease, swept, released, resumed", _stopped_past_its_lease, people=(300, 80),
        shows="duplicated", channels=(EMAIL, WEBPUSH),
    ),
    Experiment(
        "racing", "two runs, tasks retried and cleared, all at once", _racing, people=(1500, 300), doubt=False,
        prepare=_plan_two_runs,
    ),
    Experiment(
        "at-random", "killed at random, every fault at once", _at_random, people=(1500, 300), seeds=(4, 1),
        shows="duplicated", channels=(EMAIL, WEBPUSH),
    ),
)  # fmt: skip
