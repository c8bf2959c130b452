"""Experiments on what changes between decision and claim: days decided again, people who say no, nights."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from local.sandbox import server
from tests.faults import naive, nights
from tests.faults import shop as shops
from tests.faults.crew import LEASE
from tests.faults.database import local_folder, warehouse
from tests.faults.rounds import Experiment, Round
from tests.integration.handoff_stub import DAY

TRANSITIONS = ("2017-11-05", "2017-03-12", "2017-10-29", "2017-03-26", "2017-10-01", "2017-04-02")
"""Days whose night changes the clocks: in America, Europe, Australia."""
PLACES = (
    ("America/New_York", "US"), ("America/Los_Angeles", "US"), ("Pacific/Honolulu", "US"), (None, "US"),
    ("Europe/Berlin", "DE"), ("Europe/London", "GB"), (None, "DE"), ("Asia/Tokyo", "JP"), ("Asia/Kolkata", "IN"),
    ("Australia/Lord_Howe", "AU"), ("Australia/Sydney", "AU"), (None, "CA"), ("Mars/Olympus", "US"), (None, None),
    ("America/St_Johns", "CA"), ("Pacific/Apia", "WS"),
)  # fmt: skip


def _replayed(it: Round) -> None:
    """While workers are killed the day is decided again, an older one is filled in, and orders shift an episode."""
    it.sandbox.set_faults({"kind": "latency", "seconds": 0.1})
    it.crew.told = ("--run", str(it.shop.value("select run_id from outbox.run")))
    again = [(DAY, 0), (DAY - timedelta(days=1), 0), (DAY, 2), (DAY + timedelta(days=1), -1)]
    for day, shift in again[: it.some(4, 2)]:
        it.crew.start(2)
        time.sleep(it.dice.uniform(1.0, 1.8))
        it.crew.kill(it.crew.live[0])
        if it.ours:
            with warehouse(it.url):
                _, _, run_id = shops.later(it.shop, (day - DAY).days)
                shops.request(it.shop, run_id, day=day, shift=shift)
                assert it.shop.enqueue(run_id).messages == 0
        else:
            it.shop.owner.execute(naive.PLAN)
    it.crew.finish()


def _opted_out(it: Round) -> None:
    """Between cohort and claim people take their consent back, buy, or are suppressed, while workers claim."""
    it.crew.batch, it.crew.lanes = 5, 1
    it.sandbox.set_faults({"kind": "latency", "seconds": 0.5})
    people = [contact_id for (contact_id,) in it.shop.rows("select contact_id from raw.contacts order by 1")]
    it.dice.shuffle(people)
    before, meanwhile = people[: it.people // 6], people[it.people // 6 : it.people * 2 // 3]
    for number, contact_id in enumerate(before):
        _stop(it, contact_id, number % 3)
    it.crew.start(2)
    it.crew.until_sent()
    kills = it.some(3, 1)
    for number, contact_id in enumerate(meanwhile):
        _stop(it, contact_id, number % 3)
        if number % 20 == 19 and it.crew.kills < kills and it.crew.reap():
            it.crew.kill(it.crew.live[0])
            it.crew.start()
        time.sleep(it.dice.uniform(0.0, 0.1))
    it.crew.finish()


def _stop(it: Round, contact_id: str, way: int) -> None:
    """One of three reasons not to write to somebody any more, and when it was committed."""
    statement = (
        "update raw.contacts set consent_email = false where contact_id = %s",
        "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
        " select 'o-' || contact_id, contact_id, '2017-10-01 12:00+00', 'completed', 20, 'USD', '2017-10-01 12:00+00'"
        " from raw.contacts where contact_id = %s",
        "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)"
        " select 'email', outbox.address_hash('email', email), 'operator', 'operator', '2017-10-01 12:00+00'"
        " from raw.contacts where contact_id = %s",
    )[way]
    it.shop.owner.execute(statement, [contact_id])
    it.shop.owner.execute("insert into faults.stopped values (%s, %s, clock_timestamp())", [contact_id, str(way)])


def _at_night(it: Round) -> None:
    """Texts and notifications all over the world in a night that turns clocks; a worker is killed now and then."""
    _show_sandbox(it)
    it.sandbox.set_faults({"kind": "latency", "seconds": 0.1}, {"kind": "lose", "channel": "webhook"})
    for _ in range(it.some(3, 1)):
        before = it.crew.receipts()
        worker = it.crew.start()
        it.crew.until_sent(before)
        time.sleep(it.dice.uniform(0.0, 0.3))
        it.crew.kill(worker)
        time.sleep(LEASE)
    it.crew.finish(workers=1)  # the sandbox has one clock
    assert it.crew.receipts() > it.people / 2, "hardly anybody was written to: the night proves nothing"


def _plan_night(it: Round) -> None:
    """A text for half of the people and a notification for the others, due at midnight in New York."""
    day = date.fromisoformat(TRANSITIONS[it.dice.randrange(len(TRANSITIONS))])
    midnight = datetime.combine(day, datetime.min.time(), ZoneInfo(nights.CAMPAIGN_ZONE)).astimezone(UTC)
    it.crew.until_at = datetime.combine(
        day + timedelta(days=1), datetime.min.time().replace(hour=10), ZoneInfo(nights.CAMPAIGN_ZONE)
    ).astimezone(UTC)
    shops.fill(it.shop, it.people)
    for number, (zone, country) in enumerate(PLACES):
        it.shop.owner.execute(
            "update raw.contacts set timezone = %s, country = %s where right(contact_id, 5)::integer %% %s = %s",
            [zone, country, len(PLACES), number],
        )
    run_id = it.shop.open_run(day, clock=midnight, holder="faults")
    shops.request(it.shop, run_id, day=day, channels=["sms"], send_at=midnight)
    it.shop.owner.execute(
        "update handoff.send_requests set channels = array['webpush'] where right(contact_id, 5)::integer > %s",
        [it.people // 2],
    )
    it.shop.enqueue(run_id)


def _show_sandbox(it: Round) -> None:
    """Lets workers find the sandbox as that of their warehouse: so they tell it their simulated time."""
    with warehouse(it.url), local_folder(it.folder):
        known = server.instance(it.url)
    known.folder.mkdir(parents=True)
    (known.folder / "keys.json").write_text(json.dumps(asdict(it.sandbox.keys)))
    port = int(it.sandbox.url.rpartition(":")[2])
    known.state_path.write_text(json.dumps({"pid": 0, "port": port, "events_port": port, "instance": "test"}))


def _texts(it: Round) -> None:
    """Texts through a provider in trouble, workers killed at random; bad numbers get the mail instead."""
    it.sandbox.set_faults(
        {"kind": "latency", "seconds": 0.05},
        {"kind": "bad_recipient", "channel": "sms", "pattern": "7$"},
        {"kind": "drop", "channel": "sms", "accepted": True, "probability": 0.03},
        {"kind": "error", "channel": "sms", "accepted": True, "probability": 0.03},
        {"kind": "error", "channel": "sms", "accepted": False, "probability": 0.02},
        {"kind": "throttle", "channel": "sms", "probability": 0.02, "retry_after": 1},
        seed=it.dice.randrange(1_000_000),
    )
    for _ in range(it.some(6, 2)):
        worker = it.crew.start()
        time.sleep(it.dice.uniform(0.9, 2.0))
        it.crew.kill(worker)
    it.crew.finish()


def _plan_texts(it: Round) -> None:
    shops.plan(it.shop, it.people, channels=["sms", "email"])


STOPS = frozenset({"purchased_since", "no_email_consent", "suppressed"})
EXPERIMENTS = (
    Experiment("replayed", "an old day decided again and filled in", _replayed, shows="duplicated"),
    Experiment(
        "opted-out", "opt-out, purchase, block between cohort and claim", _opted_out, people=(400, 90),
        excused=STOPS, shows="no_consent",
    ),
    Experiment(
        "night", "DST nights, zones unknown or null", _at_night, people=(400, 96), seeds=(4, 1), control=False,
        prepare=_plan_night, excused=frozenset({"quiet_hours", "too_late"}),
    ),
    Experiment(
        "texts", "texts with a bad provider, killed at random", _texts, people=(400, 60), control=False,
        prepare=_plan_texts,
    ),
)  # fmt: skip
