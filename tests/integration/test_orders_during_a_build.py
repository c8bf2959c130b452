"""Orders that a loader commits while a model is being written: no day is lost, and the next build takes them in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.integration.dbt_days import at, begin, build, contact, order, rows
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "2017-10-01", "2017-10-02", "2017-10-03"
EARLY, SOLD, BETWEEN = "2017-08-10", "2017-09-10", at("2017-10-01", "21:00")
MODELS = ("int_activity_days", "fct_purchases")
# PostgreSQL locks what a statement names before it decides what it sees: who waits sees what was committed then.
# `lock table` would ask for what lies under the view, too, with the rights of its owner.
VISITS = ("alter view staging.stg_raw__site_visits reset (security_barrier)", "staging.stg_raw__site_visits")
FORGETTING = ("lock table customers.fct_purchases in share mode", "customers.fct_purchases")
"""Holds up the first statement that takes purchases away: by then the changed orders have been written down."""


@contextmanager
def committed_while(url: str, lock: str, relation: str, change: str) -> Iterator[None]:
    """Holds `relation`, by the statement `lock`, until a build waits for it, then commits `change` (of raw.orders).

    It is one that the model names and its pre-hook does not, or that the hook comes to only after it has read the
    orders: the change falls between the two.
    """
    failures: list[str] = []
    taken, patience = threading.Event(), 60.0

    def load() -> None:
        with psycopg.connect(url) as loader, psycopg.connect(url, autocommit=True) as watcher:
            loader.execute(lock)  # type: ignore[arg-type]
            taken.set()
            until = time.monotonic() + patience
            waiting = "select exists (select from pg_locks where relation = %s::regclass and not granted)"
            while not (watcher.execute(waiting, [relation]).fetchone() or [False])[0]:
                if time.monotonic() > until:
                    failures.append(f"nobody came to wait for {relation}")
                    return
                time.sleep(0.02)
            loader.execute(change)  # type: ignore[arg-type]

    thread = threading.Thread(target=load)
    thread.start()
    assert taken.wait(patience)
    try:
        yield
    finally:
        thread.join()
        assert not failures, failures


def _run(connection: psycopg.Connection, day: str, *models: str) -> None:
    """Builds a day up to `models`, themselves not included: the next build is theirs alone."""
    begin(connection, day)
    build("--indirect-selection", "empty", "--select", *(f"+{model}" for model in models), "--exclude", *models)


def _only(*models: str) -> None:
    build("--indirect-selection", "empty", "--select", *models)


def _enqueued(connection: psycopg.Connection) -> None:
    for state in ("built", "validated", "enqueued"):
        connection.execute(
            "update outbox.run set state = %s where state in ('building', 'built', 'validated')",
            [state],
        )


def _purchase_days() -> set[tuple[str, str]]:
    return set(rows("select contact_id, active_on::text from customers.int_activity_days where kind = 'purchase'"))


@pytest.fixture
def loaded(warehouse: str) -> Iterator[psycopg.Connection]:
    """Two contacts with two purchases each, the first day built, and an order of one of them that comes late."""
    with connect(Role.OWNER) as connection:
        connection.autocommit = True
        for contact_id in ("joins", "leaves"):
            contact(connection, contact_id)
            order(connection, f"early-{contact_id}", contact_id, at(EARLY))
            order(connection, f"sold-{contact_id}", contact_id, at(SOLD))
        # The last day with a sign of life is where the next build begins.
        contact(connection, "recent")
        order(connection, "recent", "recent", at(FIRST, "04:00"))
        _run(connection, FIRST, *MODELS)
        _only(*MODELS)
        _enqueued(connection)
        order(connection, "late", "leaves", at("2017-09-11"), updated_at=BETWEEN)
        yield connection


def test_an_order_that_changes_between_the_deleting_and_the_writing_of_days_waits_for_the_next_build(
    loaded: psycopg.Connection, warehouse: str
) -> None:
    cancelled = f"update raw.orders set status = 'cancelled', updated_at = '{BETWEEN}' where order_id = 'sold-joins'"  # noqa: S608
    _run(loaded, SECOND, "int_activity_days")
    with committed_while(warehouse, *VISITS, cancelled):
        _only("int_activity_days")
    assert {("joins", EARLY), ("joins", SOLD), ("leaves", "2017-09-11")} <= _purchase_days()
    _enqueued(loaded)
    _run(loaded, THIRD, "int_activity_days")
    _only("int_activity_days")
    assert _purchase_days() == {
        ("joins", EARLY),
        ("leaves", EARLY),
        ("leaves", SOLD),
        ("leaves", "2017-09-11"),
        ("recent", FIRST),
    }


def test_a_contact_whose_order_is_corrected_meanwhile_loses_no_day(loaded: psycopg.Connection, warehouse: str) -> None:
    corrected = f"update raw.orders set ordered_at = '{BETWEEN}' where order_id = 'late'"  # noqa: S608
    _run(loaded, SECOND, "int_activity_days")
    with committed_while(warehouse, *VISITS, corrected):
        _only("int_activity_days")
    assert _purchase_days() == {
        ("joins", EARLY),
        ("joins", SOLD),
        ("leaves", EARLY),
        ("leaves", SOLD),
        ("leaves", FIRST),
        ("recent", FIRST),
    }


def test_an_order_that_becomes_another_contacts_meanwhile_is_nobodys_twice(
    loaded: psycopg.Connection, warehouse: str
) -> None:
    given = f"update raw.orders set contact_id = 'joins', updated_at = '{BETWEEN}' where order_id = 'sold-leaves'"  # noqa: S608
    _run(loaded, SECOND, "fct_purchases")
    with committed_while(warehouse, *FORGETTING, given):
        _only("fct_purchases")
    assert rows("select contact_id from customers.fct_purchases where order_id = 'sold-leaves'") == [("leaves",)]
