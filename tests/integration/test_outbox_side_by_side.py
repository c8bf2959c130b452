"""Two that work on the same messages at once: neither waits for what the other holds, and none judges it for them."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from outbox import claims
from outbox.sql import ledger
from tests.integration.handoff_stub import SEND_AT, Shop
from tests.integration.outbound import states
from tests.integration.test_outbox_outcomes import doubtful, event, settle
from warehouse.connect import Role, connect

OVER = SEND_AT + timedelta(days=9)


def expire() -> int:
    """One who expires what is past its end, and would rather fail than wait."""
    with ledger() as connection:
        connection.execute("set lock_timeout = '2s'")
        return claims.expire_overdue(connection, clock=OVER, mode="simulated")


def wait_until_blocked(shop: Shop, holder: psycopg.Connection) -> None:
    """Waits until somebody waits for a lock that `holder` has."""
    for _ in range(200):
        if shop.value(
            "select count(*) from pg_stat_activity where %s = any(pg_blocking_pids(pid))", holder.info.backend_pid
        ):
            return
        time.sleep(0.05)
    raise AssertionError("nobody waits for what this connection holds")


def hold(other: psycopg.Connection, message_id: uuid.UUID) -> None:
    other.execute("select from outbox.message where id = %s for update", [message_id])


@pytest.mark.parametrize("held", [0, 1])
def test_who_expires_messages_waits_for_nobody_who_holds_some_of_them(shop: Shop, held: int) -> None:
    """Two that did could each hold what the other waits for."""
    both = [shop.planned(), shop.planned()]
    with connect(Role.OWNER) as other:
        hold(other, both[held])
        assert expire() == 1
        assert shop.value("select state from outbox.message where id = %s", both[held]) == "planned"
    assert (expire(), states(shop)) == (1, {"expired": 2})


def test_what_was_passed_over_is_asked_about_before_it_expires(shop: Shop) -> None:
    message_id = doubtful(shop, code="A1", promotion="p", step="day60")
    settle(message_id, "planned")
    with connect(Role.OWNER) as other:
        hold(other, message_id)
        event(shop, "delivery_event", message_id, "delivered")
        assert (expire(), states(shop)) == (0, {"planned": 1})
    assert (expire(), states(shop)) == (0, {"accepted": 1})
    assert shop.value("select released_at from outbox.coupon_grant") is None


def test_a_release_takes_the_attempt_before_its_message_as_a_dispatch_does(shop: Shop) -> None:
    message_id = doubtful(shop)
    with connect(Role.OWNER) as dispatch, ThreadPoolExecutor(1) as pool:
        dispatch.execute("select from outbox.attempt for update")
        release = pool.submit(settle, message_id, "planned")
        wait_until_blocked(shop, dispatch)
        dispatch.execute("select from outbox.message for update nowait")
        dispatch.commit()
        assert release.result(timeout=20) == "winback day30"
    assert states(shop) == {"planned": 1}
