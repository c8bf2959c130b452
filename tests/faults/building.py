"""Experiments with the real dbt project: it builds, fully refreshes and is killed while workers claim."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from tests.faults.crew import Contestant
from tests.faults.database import Arena
from tests.faults.rounds import Experiment, Round, on_stage

FIRST, SECOND = date(2017, 10, 1), date(2017, 10, 2)
FULL_REFRESH = {"DBT_FULL_REFRESH": "true"}
"""dbt's own switch: every verb that builds rebuilds everything."""

SHOP = (
    """
    insert into raw.products (product_id, name, category, price, image_url, product_url, in_stock, updated_at)
    select 'p' || n, 'Product ' || n, 'Aisle ' || n %% 3, 2.5, 'https://assets.example.com/p.png',
        'https://shop.example.com/p' || n, true, '2016-01-01'
    from generate_series(1, 6) n
    """,
    """
    insert into raw.contacts (
        contact_id, email, timezone, country, consent_email, consent_email_at, consent_email_source,
        consent_email_text_version, consent_sms, created_at, updated_at
    )
    select 'c' || lpad(n::text, 5, '0'), 'c' || lpad(n::text, 5, '0') || '@example.com', 'America/New_York', 'US', true,
        '2016-01-01', 'signup', 'v1', false, '2016-01-01', '2016-01-01'
    from generate_series(1, %(people)s::integer) n
    """,
    # In turn: 30 and 60 days ago, on the first day and on the second.
    """
    insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)
    select 'o-' || contact_id, contact_id, at, 'completed', 20, 'USD', at
    from (
        select contact_id, timestamptz '2017-10-01 16:00+00' + n %% 2 * interval '1 day'
            - case when n / 2 %% 2 = 0 then 30 else 60 end * interval '1 day' as at
        from (select contact_id, right(contact_id, 5)::integer as n from raw.contacts) c
    ) placed
    """,
    """
    insert into raw.order_items (order_id, line_number, product_id, quantity, unit_price)
    select order_id, 1, 'p' || right(contact_id, 5)::integer %% 6 + 1, 1, 2.5 from raw.orders
    """,
    """
    insert into raw.coupon_codes (promotion, code, loaded_at)
    select promotion, promotion || '-' || n, '2016-01-01'
    from unnest(array['winback_discount10', 'winback_discount20']) promotion, generate_series(1, %(people)s::integer) n
    """,
)


@contextmanager
def _with_dbt(arena: Arena, contestant: Contestant, seed: int, *, people: int, quick: bool) -> Iterator[Round]:
    """A round in a database that dbt builds in."""
    with on_stage(arena, contestant, seed, people=people, quick=quick, handmade=False) as it:
        yield it


def _fill(it: Round) -> None:
    for statement in SHOP:
        it.shop.owner.execute(statement, {"people": it.people})


def _built_meanwhile(it: Round) -> None:
    """A day goes out while the next one is built, killed, fully refreshed, and built by a target that may not send."""
    it.crew.batch, it.crew.lanes = 5, 1
    it.sandbox.set_faults({"kind": "latency", "seconds": 0.5})
    _decide(it, FIRST)
    build = it.crew.verb("build", "--as-of", str(SECOND), "--holder", "second", **FULL_REFRESH)
    _dispatch_while(it, build, kill=True)
    again = it.crew.verb("build", "--as-of", str(SECOND), "--holder", "second", **FULL_REFRESH)
    _dispatch_while(it, again)
    assert again.returncode == 0, it.crew.last_words()
    run_id = it.shop.value("select run_id from outbox.run where state = 'built'")
    for verb in ("gate", "enqueue"):
        _ended(it, verb, "--run", str(run_id))
    _by_another_target(it)
    _decide(it, FIRST, holder="the first day again")
    it.sandbox.set_faults()
    it.crew.finish()
    assert not any(it.crew.exits), f"a worker met a shop under construction: {it.crew.exits}\n{it.crew.last_words()}"
    it.people = it.shop.value("select count(*) from outbox.decision d join outbox.message m"
                              " using (run_id, contact_id, step) where decision = 'send'")  # fmt: skip
    assert it.people > it.shop.value("select count(*) from raw.contacts") // 2, "hardly anybody was written to"


def _decide(it: Round, day: date, holder: str = "first") -> None:
    """Build, gate and enqueue of a day."""
    answer = _ended(it, "build", "--as-of", str(day), "--holder", holder)
    for verb in ("gate", "enqueue"):
        _ended(it, verb, "--run", answer["run_id"])


def _dispatch_while(it: Round, build: subprocess.Popen[bytes], *, kill: bool = False) -> None:
    """Workers claim for as long as dbt builds; `kill`: it is killed in the middle."""
    it.crew.start(2)
    killed_at = time.monotonic() + it.dice.uniform(7, 14)
    while build.poll() is None:
        if kill and time.monotonic() > killed_at:
            it.crew.kill(build)
            break
        it.crew.reap()
        if len(it.crew.live) < 3:
            it.crew.start()
        time.sleep(0.1)
    it.crew.reap()
    if len(it.crew.live) > 0:
        it.crew.kill(it.crew.live[0])


def _by_another_target(it: Round) -> None:
    """A developer's target builds in schemas of its own; its run is refused, and nothing of it is frozen."""
    before = it.shop.value("select count(*) from outbox.message")
    answer = _ended(it, "build", "--as-of", str(SECOND), "--holder", "developer", WINBACK_TARGET="dev")
    for verb in ("gate", "enqueue"):
        refused = it.crew.verb(verb, "--run", answer["run_id"])
        assert refused.wait() == 1, it.crew.last_words()
        it.crew.live.remove(refused)  # its end is as it should be: not among those that are asked for
    assert it.shop.value("select count(*) from outbox.message") == before


def _ended(it: Round, *arguments: str, **variables: str) -> dict[str, Any]:
    """A verb to its good end; its line of JSON."""
    process = it.crew.verb(*arguments, **variables)
    assert process.wait() == 0, f"{' '.join(arguments)}:\n{it.crew.last_words()}"
    it.crew.reap()
    answer: dict[str, Any] = json.loads(it.crew.verbs.read_text().splitlines()[-1])
    return answer


EXPERIMENTS = (
    Experiment(
        "building", "dbt builds, refreshes, is killed; a wrong target", _built_meanwhile, people=(800, 80),
        seeds=(1, 0), control=False, prepare=_fill, stage=_with_dbt,
    ),
)  # fmt: skip
