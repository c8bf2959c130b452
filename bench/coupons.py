"""Coupons: a million contacts get a million codes, proposed by dbt and frozen by `winback enqueue`.

All of them lapsed on one day. Measured against a bare `INSERT ... SELECT` of the very rows that were written, under the
same keys; and against the loop that most shops have: one contact a transaction with `FOR UPDATE SKIP LOCKED`, writing
the same grant, message and event.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from bench import outgoing, server
from bench.days import REPETITIONS, select
from bench.measure import Figure, command, database_time, median, say, spread
from bench.outgoing import PROMOTION

CONTACTS, QUICK_CONTACTS = 1_000_000, 50_000
SAMPLE = 3_000
"""Contacts of the row-by-row loop, whose time is then taken for all of them."""
MODELS = ("int_coupon_needs", "int_coupon_offers", "coupon_allocations")
WRITTEN = ("decision", "coupon_grant", "message", "contact_event")
BARE_LIMIT, LOOP_LIMIT = 2.0, 50.0


@dataclass(frozen=True)
class Measured:
    """One repetition. Seconds."""

    allocated: float
    enqueued: float
    frozen: float
    """Of it, the statement that writes messages, grants and events."""
    bare: float
    bare_frozen: float
    """Of it, messages, grants and events."""


def run(quick: bool) -> list[Figure]:
    """What allocating and freezing costs over the bare rows, and what the loop costs over it."""
    contacts = QUICK_CONTACTS if quick else CONTACTS
    run_id = _prepare(contacts)
    found, looped = [], []
    loop = server.database("bench_coupons_loop", template="bench_coupons")
    queue = _queue(loop, run_id)
    for number in range(REPETITIONS):
        url = server.database("bench_coupons_copy", template="bench_coupons")
        found.append(_repeat(url, run_id, contacts))
        # Turn and turn about: what else the machine does meanwhile hits both.
        looped.append(_loop(loop, queue[number * SAMPLE : (number + 1) * SAMPLE]))
        say(f"{number + 1} of {REPETITIONS}: {found[-1]}; the loop {looped[-1]:.1f} s for {SAMPLE:,} contacts")
    for name in ("bench_coupons_copy", "bench_coupons_loop", "bench_coupons"):
        server.drop(name)
    ours = [one.allocated + one.enqueued for one in found]
    frozen = [one.allocated + one.frozen for one in found]
    bare = [one.bare for one in found]
    all_looped = median(looped) * contacts / SAMPLE
    parts = {
        "contacts and codes": contacts,
        "allocated (three dbt models), database seconds": spread([one.allocated for one in found]),
        "enqueued (checks, decisions, messages, grants, events), database seconds": spread(
            [one.enqueued for one in found]
        ),
        "of it messages, grants and events": spread([one.frozen for one in found]),
        "bare insert of the same rows, database seconds": spread(bare),
        "of it messages, grants and events, bare": spread([one.bare_frozen for one in found]),
    }
    return [
        Figure(
            "coupons allocated and enqueued over a bare INSERT ... SELECT of the same rows",
            median(ours) / median(bare),
            BARE_LIMIT,
            measured=parts,
            summary=f"{median(ours):.1f} s and {median(bare):.1f} s, {contacts:,} contacts and codes",
        ),
        Figure(
            "row by row with SKIP LOCKED over coupons allocated and frozen",
            all_looped / median(frozen),
            LOOP_LIMIT,
            at_least=True,
            measured={
                **parts,
                "sample of the loop, contacts": SAMPLE,
                "sample of the loop, seconds by the clock": spread(looped),
                "loop, extrapolated seconds": round(all_looped, 1),
            },
            note="the loop: one session, one contact a transaction, durable commits, by the clock, extrapolated; "
            "ours: the three models and the statement that freezes, one session, database time",
            summary=f"{all_looped:,.0f} s (from {SAMPLE:,} contacts) and {median(frozen):.1f} s",
        ),
    ]


def _prepare(contacts: int) -> uuid.UUID:
    """A shop whose contacts all bought exactly 60 days ago, built by dbt and validated; the run's id."""
    url = server.database("bench_coupons")
    everybody = contacts * 9 // 8  # a tenth is held out
    say(f"{everybody:,} contacts who bought {outgoing.DAYS_AWAY} days ago, {contacts:,} codes")
    outgoing.lapsed(url, everybody, "email")
    outgoing.load_codes(url, contacts)
    return outgoing.build(url)


def _repeat(url: str, run_id: uuid.UUID, contacts: int) -> Measured:
    """Allocates and enqueues in a fresh copy, then writes the same rows again, barely."""
    allocated = select(url, *MODELS).total
    with database_time(url) as spent:
        child = command("enqueue", "--run", str(run_id))
    answer = json.loads(child.output.splitlines()[-1])
    assert answer["grants"] == answer["messages"] == contacts, answer
    frozen = sum(seconds for text, seconds, _ in spent.statements if "insert into outbox.message" in text)
    with psycopg.connect(url, autocommit=True) as connection:
        for table in WRITTEN:
            _copy_keys(connection, table)
        with database_time(url) as bare:
            for table in WRITTEN:
                connection.execute(
                    f"insert into bare_{table} select * from outbox.{table} where {_OF_RUN[table]}", [run_id]
                )
    bare_frozen = sum(seconds for text, seconds, _ in bare.statements if "bare_decision" not in text)
    return Measured(allocated, spent.total, frozen, bare.total, bare_frozen)


_OF_RUN = {
    "decision": "run_id = %s",
    "message": "run_id = %s",
    "coupon_grant": "id in (select coupon_grant_id from outbox.message where run_id = %s)",
    "contact_event": "caused_by in (select coupon_grant_id from outbox.message where run_id = %s)",
}


def _copy_keys(connection: psycopg.Connection, table: str) -> None:
    """An empty table with the columns, keys, checks, indexes and foreign keys of the outbox's; without its triggers."""
    connection.execute(f"create table bare_{table} (like outbox.{table} including all)")
    for name, definition in connection.execute(
        "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass and contype = 'f'",
        [f"outbox.{table}"],
    ).fetchall():
        connection.execute(f"alter table bare_{table} add constraint {name} {definition}")


def _queue(url: str, run_id: uuid.UUID) -> list[str]:
    """A pool and a queue as the loop wants them; the contacts in it, `SAMPLE` for each repetition."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create table pool as select promotion, code, null::text as contact_id from raw.coupon_codes order by code"
        )
        connection.execute("alter table pool add primary key (code)")
        connection.execute("create index on pool (promotion, code) where contact_id is null")
        connection.execute("vacuum (analyze) pool")
        connection.execute(
            "create table queue as select * from handoff.send_requests where run_id = %s order by contact_id limit %s",
            [run_id, SAMPLE * REPETITIONS],
        )
        connection.execute("alter table queue add primary key (contact_id)")
        return [row[0] for row in connection.execute("select contact_id from queue order by contact_id").fetchall()]


def _loop(url: str, contacts: Sequence[str]) -> float:
    """The row-by-row way for these contacts: seconds by the clock."""
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.perf_counter()
        for contact in contacts:
            _one(connection, contact)
        return time.perf_counter() - began


def _one(connection: psycopg.Connection, contact: str) -> None:
    with connection.transaction():
        taken = connection.execute(
            "select code from pool where promotion = %s and contact_id is null order by code limit 1"
            " for update skip locked",
            [PROMOTION],
        ).fetchone()
        assert taken is not None
        connection.execute("update pool set contact_id = %s where code = %s", [contact, taken[0]])
        grant = connection.execute(
            "insert into outbox.coupon_grant"
            " (promotion, code, contact_id, campaign, episode_on, step, as_of, granted_at, valid_until)"
            " select promotion, %s, contact_id, campaign, episode_on, step, as_of, not_before, valid_until"
            " from queue where contact_id = %s returning id",
            [taken[0], contact],
        ).fetchone()
        assert grant is not None
        connection.execute(
            "insert into outbox.message ("
            "run_id, campaign, contact_id, episode_on, step, step_days, as_of, due_on, mode, channels, template_hash,"
            " merge_fields, variant, offer, coupon_grant_id, tag, consent, definition_hash, not_before, not_after,"
            " planned_at)"
            " select run_id, campaign, contact_id, episode_on, step, step_days, as_of, due_on, mode, channels,"
            " template_hash, merge_fields, variant, offer, %s, tag, consent, definition_hash, not_before, not_after,"
            " not_before from queue where contact_id = %s",
            [grant[0], contact],
        )
        connection.execute(
            "insert into outbox.contact_event (contact_id, name, payload, occurred_at, caused_by)"
            " values (%s, 'coupon_assigned', jsonb_build_object('code', %s::text), clock_timestamp(), %s)",
            [contact, taken[0], grant[0]],
        )
