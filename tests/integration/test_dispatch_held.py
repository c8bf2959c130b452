"""What is due and out of a dispatch's reach: in another worker's hands, or behind a database that went away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from outbox import claims, dispatch
from outbox.dispatch import Dispatcher
from outbox.sql import ledger
from senders.memory.send import MemorySender
from tests.integration.handoff_stub import BUILT_AT, UNTIL, Shop
from tests.integration.outbound import Outbound
from tests.integration.test_dispatch import states
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError


@contextmanager
def judged_by_another() -> Iterator[None]:
    """A claim of another worker that takes its time: it may be stopped."""
    with connect(Role.OWNER) as other:
        other.execute("select id from outbox.message for update")
        yield


def test_what_another_worker_holds_is_left_to_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "HELD_SECONDS", 0.01)
    shop.planned_many(3)
    said: list[str] = []
    with judged_by_another(), ThreadPoolExecutor() as pool:
        run = pool.submit(Outbound().simulate, progress=said.append)
        assert run.result(timeout=20).totals == {}
    assert len(said) == 1
    assert states(shop) == {"planned": 3}
    assert Outbound().simulate().totals == {"accepted": 3}


def test_what_another_worker_lets_go_of_soon_is_sent(shop: Shop) -> None:
    shop.planned_many(3)
    out = Outbound()
    with ThreadPoolExecutor() as pool:
        with judged_by_another():
            run = pool.submit(out.simulate)
            time.sleep(2 * dispatch.HELD_SECONDS)
            assert not run.done()
        assert run.result(timeout=20).totals == {"accepted": 3}


@pytest.mark.parametrize("cut", ["after its commit", "before the next claim"])
def test_a_claim_that_the_database_cut_off_is_given_back(shop: Shop, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    shop.planned_many(30)
    claimed, calls = claims.claim, 0

    def cutting(connection: psycopg.Connection, *arguments: Any, **options: Any) -> claims.Claim:
        nonlocal calls
        calls += 1
        if calls == 2 or cut == "after its commit":
            if cut == "after its commit":
                claimed(connection, *arguments, **options)
            shop.owner.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
            connection.execute("select 1")
        # Fewer than were asked for: the lane claims again before it sends.
        return claimed(connection, *arguments, **{**options, "size": 7})

    monkeypatch.setattr(claims, "claim", cutting)
    sender = MemorySender()
    with pytest.raises(psycopg.OperationalError):
        Dispatcher(lambda *_: sender, connections=1).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert (states(shop), sender.inbox) == ({"planned": 30}, [])
    assert shop.rows("select distinct outcome, error_code from outbox.attempt") == [("not_sent", "database_lost")]
    monkeypatch.setattr(claims, "claim", claimed)
    assert Outbound().simulate().totals == {"accepted": 30}


def test_leases_are_renewed_again_after_the_database_was_away_for_a_while(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LEASE", timedelta(seconds=1))
    shop.planned()
    said: list[str] = []
    misses = iter([WinbackError("The warehouse cannot be reached."), psycopg.OperationalError("closed")])

    def sometimes() -> psycopg.Connection:
        if threading.current_thread().name == "leases" and (error := next(misses, None)):
            raise error
        return ledger()

    class Slow(MemorySender):
        def send(self, messages: Any) -> Any:
            time.sleep(2)
            assert shop.value("select lease_until > clock_timestamp() from outbox.attempt")
            return super().send(messages)

    monkeypatch.setattr(dispatch, "ledger", sometimes)
    Dispatcher(lambda *_: Slow(), progress=said.append).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert states(shop) == {"accepted": 1}
    assert [line for line in said if "leases" in line] == [
        "the leases cannot be renewed for now (WinbackError); tried again"
    ]
