"""Experiments on what only notifications meet: browsers that are gone, and a step that goes on without them."""

from __future__ import annotations

import time

from senders.contract import EMAIL, WEBPUSH
from tests.faults import browsers
from tests.faults import shop as shops
from tests.faults.rounds import Experiment, Round

LIVING, RENEWED, LOST, FORGOTTEN = range(4)
"""Quarters of the people: no browser is gone; the newest has ended (410); both have; the newest is unknown (404)."""
STATES = """
select right(m.contact_id, 5)::integer %% 4 as quarter, a.channel, count(*)
from outbox.message m
join outbox.attempt a on a.message_id = m.id and a.outcome = 'accepted'
group by 1, 2
"""
SUPPRESSED = """
select s.endpoint
from raw.web_push_subscriptions s
join outbox.suppression b on b.channel = 'webpush' and b.address_hash = outbox.address_hash('webpush', s.endpoint)
"""


def _gone(it: Round) -> None:
    """Browsers are gone while answers are lost and workers killed: the next browser, or else the next channel."""
    it.crew.lanes = 1
    it.sandbox.set_faults(
        {"kind": "latency", "seconds": 0.1},
        {"kind": "drop", "channel": "webpush", "accepted": True, "probability": 0.03},
        {"kind": "throttle", "channel": "webpush", "probability": 0.03, "retry_after": 1},
        seed=it.dice.randrange(1_000_000),
    )
    for _ in range(it.some(5, 2)):
        before = it.crew.receipts()
        worker = it.crew.start()
        it.crew.until_sent(before)
        time.sleep(it.dice.uniform(0.0, 1.0))
        it.crew.kill(worker)
    it.crew.finish()
    through = {(quarter, channel): count for quarter, channel, count in it.shop.rows(STATES)}
    assert {channel for quarter, channel in through if quarter != LOST} == {WEBPUSH}, through
    assert {channel for quarter, channel in through if quarter == LOST} == {EMAIL}, through
    ended = {endpoint for (endpoint,) in it.shop.rows(SUPPRESSED)}
    assert ended, "no ended subscription was noted"
    alive = {endpoint for endpoint in ended if not _is_gone(endpoint)}
    assert not alive, f"{len(alive)} browsers that are there count as gone"


def _is_gone(endpoint: str) -> bool:
    kind, contact_id = endpoint.split("/")[-2:]
    quarter = int(contact_id[-5:]) % 4
    return quarter == LOST or (kind == "newest" and quarter in (RENEWED, FORGOTTEN))


def _plan(it: Round) -> None:
    shops.plan(it.shop, it.people, channels=[WEBPUSH, EMAIL])
    browsers.subscribe(it.shop, browsers.OLDER, (RENEWED, LOST, FORGOTTEN))
    browsers.tell(
        it.shop,
        it.browsers,
        ended=f"q = {LOST} or q = {RENEWED} and endpoint like '%%/newest/%%'",
        unknown=f"q = {FORGOTTEN} and endpoint like '%%/newest/%%'",
    )


EXPERIMENTS = (
    Experiment(
        "gone", "browsers that are gone, answers lost, workers killed", _gone, people=(400, 100), control=False,
        prepare=_plan,
    ),
)  # fmt: skip
