"""Experiments on codes: a short pool; who sets its codes aside is killed in the middle and races with others."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.faults import shop as shops
from tests.faults.database import warehouse
from tests.faults.points import is_waited_for
from tests.faults.rounds import Experiment, Round
from tests.integration.handoff_stub import DAY

POOL = 60
"""Codes for so many in a hundred people."""

SHORTFALL = """
insert into allocations.coupon_shortfalls (run_id, promotion, as_of, needed, available, unserved)
values (%s, %s, %s, %s, %s, %s)
"""


def _plan_a_short_pool(it: Round) -> None:
    shops.fill(it.shop, it.people)


def _short_pool(it: Round) -> None:
    """Enqueue is killed with grants written and uncommitted, raced, asked again; the next day proposes a used code."""
    if not it.ours:
        _naive(it)
        return
    served = it.people * POOL // 100
    with warehouse(it.url):
        run_id = it.shop.open_run(holder="faults")
        _propose(it, run_id, first=1, last=served, needed=it.people)
        it.shop.validate(run_id)
    for _ in range(it.some(4, 1)):
        _kill_an_enqueue(it, run_id)
    racers = [it.crew.verb("enqueue", "--run", str(run_id)) for _ in range(it.some(4, 2))]
    time.sleep(it.dice.uniform(0.5, 1.5))
    it.crew.kill(racers[0])
    assert {racer.wait() for racer in racers[1:]} == {0}, it.crew.last_words()
    it.crew.reap()
    assert it.shop.value("select count(*) from outbox.coupon_grant") == served
    _propose_a_used_code(it, served)
    it.crew.kill(it.crew.start())
    with warehouse(it.url):
        day, _, later = shops.later(it.shop, 1)
        _propose(it, later, first=served + 1, last=it.people, needed=it.people - served)
        assert it.shop.enqueue(later).grants == it.people - served, day
    it.crew.finish()


def _propose(it: Round, run_id: uuid.UUID, *, first: int, last: int, needed: int) -> None:
    """What dbt would: a code for the first ones, and word of those who get none."""
    shops.request(it.shop, run_id, first=first, last=last, every=1)
    codes = last - first + 1
    it.shop.owner.execute(SHORTFALL, [run_id, shops.PROMOTION, DAY, needed, codes, needed - codes])


def _kill_an_enqueue(it: Round, run_id: uuid.UUID) -> None:
    """Killed while it writes grants; nothing of it may stay."""
    with psycopg.connect(it.url) as holder:
        holder.execute("lock table outbox.coupon_grant in share row exclusive mode")
        enqueue = it.crew.verb("enqueue", "--run", str(run_id))
        it.crew.until("grants wait for the ledger", lambda: is_waited_for(holder))
        it.crew.kill(enqueue)
    left = it.shop.rows("select (select count(*) from outbox.coupon_grant), (select count(*) from outbox.message)")
    assert left == [(0, 0)], left


def _propose_a_used_code(it: Round, served: int) -> None:
    """A proposal made from memory: one of its codes has an owner. It is refused as a whole, and loudly."""
    with warehouse(it.url):
        _, _, run_id = shops.later(it.shop, 1)
        shops.request(it.shop, run_id, first=served + 1, last=it.people, every=1)
        for table, column in (("handoff.send_requests", "coupon_code"), ("allocations.coupon_allocations", "code")):
            it.shop.owner.execute(
                f"update {table} set {column} = 'CODE-000001' where run_id = %s and contact_id = %s",  # noqa: S608
                [run_id, f"c{served + 1:05}"],
            )
        it.shop.validate(run_id)
    enqueue = it.crew.verb("enqueue", "--run", str(run_id))
    assert enqueue.wait() == 1, it.crew.last_words()
    it.crew.reap()
    assert it.shop.value("select count(*) from outbox.message where run_id = %s", run_id) == 0
    assert it.shop.value("select state from outbox.run where run_id = %s", run_id) == "failed"
    it.shop.owner.execute("delete from handoff.send_requests where run_id = %s", [run_id])


def _naive(it: Round) -> None:
    """Two at once read which codes are free, and write theirs `on conflict do nothing`: who loses is not told."""
    it.shop.owner.execute(
        "insert into raw.coupon_codes (promotion, code, loaded_at)"
        " select %s, 'CODE-' || n, now() from generate_series(1, %s::integer) n",
        [shops.PROMOTION, it.people],
    )

    def allocate(half: int) -> None:
        with psycopg.connect(it.url, autocommit=True) as connection:
            free = connection.execute(
                "select code from raw.coupon_codes where code not in (select code from faults.naive_grant)"
                " order by code limit %s",
                [it.people // 2],
            ).fetchall()
            time.sleep(0.05)
            people = connection.execute(
                "select contact_id from raw.contacts where right(contact_id, 5)::integer %% 2 = %s order by 1", [half]
            ).fetchall()
            for (contact_id,), (code,) in zip(people, free, strict=False):
                connection.execute(
                    "insert into faults.naive_grant values (%s, %s) on conflict do nothing", [code, contact_id]
                )
                connection.execute("insert into faults.naive_told values (%s)", [contact_id])

    with ThreadPoolExecutor() as pool:
        list(pool.map(allocate, (0, 1)))


EXPERIMENTS = (
    Experiment(
        "short-pool", "a short pool: raced, killed in the middle", _short_pool, people=(400, 60),
        prepare=_plan_a_short_pool, shows="uneven",
    ),
)  # fmt: skip
