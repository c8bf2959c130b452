from __future__ import annotations

import threading
import uuid
from datetime import date, timedelta

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import register
from outbox import enqueue as freezing
from outbox import runs
from outbox.enqueue import Refused, enqueue
from outbox.sql import ledger
from tests.integration.handoff_stub import BUILT_AT, DAY, SEND_AT, Shop, campaign
from tests.integration.outbound import Outbound, together
from warehouse.connect import GRANT_LOCK
from warehouse.errors import WinbackError

POOL = {"promotion": "winback_discount10", "step": "day60"}
NEXT_DAY = DAY + timedelta(days=1)
DAY_LENGTH = timedelta(days=1)


def ledger_rows(shop: Shop) -> dict[str, int]:
    """How many rows each table of the ledger has."""
    tables = ("decision", "message", "coupon_grant", "contact_event", "contact_tag", "attempt")
    return {table: shop.value(f"select count(*) from outbox.{table}") for table in tables}  # noqa: S608


def test_decisions_grants_and_messages_are_frozen_together(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact())
    granted = shop.contact()
    shop.request(run_id, granted, code="A1", tag="coupon_winback10", **POOL)
    done = shop.enqueue(run_id)
    assert (done.decisions, done.requests, done.messages, done.grants) == ({"send": 2}, 2, 2, 1)
    assert shop.value("select state from outbox.run where run_id = %s", run_id) == "enqueued"
    assert shop.rows("select code, contact_id, granted_at from outbox.coupon_grant") == [("A1", granted, BUILT_AT)]
    events = (
        "select e.name, e.payload ->> 'code', e.caused_by = g.id from outbox.contact_event e, outbox.coupon_grant g"
    )
    assert shop.rows(events) == [("coupon_assigned", "A1", True)]
    assert (
        shop.value("select count(*) from outbox.message m join outbox.coupon_grant g on g.id = m.coupon_grant_id") == 1
    )
    assert ledger_rows(shop)["contact_tag"] == 0  # a tag comes when the message is accepted


def test_a_retried_enqueue_answers_the_same_and_changes_nothing(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact(), code="A1", **POOL)
    first = shop.enqueue(run_id)
    before = ledger_rows(shop)
    assert enqueue(run_id) == first
    assert enqueue(run_id, approved=False) == first
    assert ledger_rows(shop) == before


def test_the_same_day_run_twice_adds_nothing_but_its_decisions(shop: Shop) -> None:
    contact = shop.contact()
    for number in (1, 2):
        run_id = shop.open_run(holder=f"run {number}")
        shop.request(run_id, contact, code=f"A{number}", **POOL)
        done = shop.enqueue(run_id)
    assert (done.requests, done.messages, done.already_there, done.grants) == (1, 0, 1, 0)
    rows = ledger_rows(shop)
    assert (rows["message"], rows["coupon_grant"], rows["contact_event"], rows["decision"]) == (1, 1, 1, 2)
    assert shop.value("select code from outbox.coupon_grant") == "A1"


def test_an_episode_that_a_corrected_order_moves_a_little_gets_no_second_message(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    run_id = shop.open_run(NEXT_DAY, holder="next day")
    shop.request(run_id, contact, as_of=NEXT_DAY, code="A1", promotion="p")
    done = shop.enqueue(run_id)
    assert (done.messages, done.already_there, done.grants) == (0, 1, 0)


def test_a_run_that_asks_twice_for_one_step_of_a_person_is_refused_whole(shop: Shop) -> None:
    contact, other = shop.contact(), shop.contact()
    run_id = shop.open_run()
    shop.request(run_id, other)
    shop.request(run_id, contact)
    shop.request(run_id, contact, episode_on=DAY - timedelta(days=29))
    with pytest.raises(Refused, match="requested twice"):
        shop.enqueue(run_id)
    assert set(ledger_rows(shop).values()) == {0}


def test_a_new_episode_gets_its_own_message(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    later = DAY + timedelta(days=30)
    run_id = shop.open_run(later, holder="later")
    shop.request(run_id, contact, as_of=later)
    assert shop.enqueue(run_id).messages == 1


def test_a_held_campaign_is_archived_as_held_and_grants_nothing(shop: Shop) -> None:
    shop.define(campaign(), campaign(campaign="reactivation"))
    run_id = shop.open_run()
    shop.request(run_id, shop.contact(), code="A1", **POOL)
    shop.request(run_id, shop.contact(), campaign="reactivation")
    done = shop.enqueue(run_id, held=["winback"])
    assert (done.messages, done.grants, done.withheld) == (1, 0, {"winback": "gate_failed"})
    rows = shop.rows("select campaign, decision, reason, reasons from outbox.decision order by campaign desc")
    assert rows == [("winback", "hold", "gate_failed", ["gate_failed"]), ("reactivation", "send", None, [])]


@pytest.mark.parametrize(
    ("reason", "archived"),
    [
        ("no_email_consent", ("hold", "gate_failed", ["gate_failed", "no_email_consent"])),
        ("invalid_address", ("hold", "gate_failed", ["gate_failed", "invalid_address"])),
        ("no_reachable_channel", ("hold", "gate_failed", ["gate_failed", "no_reachable_channel"])),
        ("too_late", ("skip", "too_late", ["too_late"])),
        ("already_messaged", ("skip", "already_messaged", ["already_messaged"])),
    ],
)
def test_of_a_held_campaign_only_those_skips_are_final_that_no_load_brings_back(
    shop: Shop, reason: str, archived: tuple[str, str, list[str]]
) -> None:
    run_id = shop.open_run()
    row = {
        "as_of": DAY, "campaign": "winback", "step": "day30", "episode_on": DAY - timedelta(days=30), "due_on": DAY,
        "mode": "live", "definition_hash": shop.definition_hash,
    }  # fmt: skip
    shop.decide(run_id, shop.contact(), "skip", reason, row=row)
    shop.decide(run_id, shop.contact(), "skip", reason, row={**row, "mode": "shadow"})
    shop.decide(run_id, shop.contact(), "holdout", "holdout", row=row)
    shop.enqueue(run_id, held=["winback"])
    rows = shop.rows("select decision, reason, reasons from outbox.decision order by mode, decision")
    assert sorted(rows) == sorted([archived, ("skip", reason, [reason]), ("holdout", "holdout", ["holdout"])])


def test_a_campaign_that_the_gate_said_nothing_about_is_held(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact())
    shop.validate(run_id)
    shop.owner.execute("update outbox.run set verdict = '{}' where run_id = %s", [run_id])
    assert enqueue(run_id).withheld == {"winback": "gate_failed"}


def test_an_unapproved_day_is_held_and_its_people_are_served_on_the_next(shop: Shop) -> None:
    contact = shop.contact()
    run_id = shop.open_run()
    shop.request(run_id, contact, code="A1", **POOL)
    shop.validate(run_id)
    done = enqueue(run_id, approved=False)
    assert (done.messages, done.grants, done.withheld) == (0, 0, {"winback": "not_approved"})
    assert shop.rows("select decision, reason from outbox.decision") == [("hold", "not_approved")]

    next_run = shop.open_run(NEXT_DAY, clock=BUILT_AT + DAY_LENGTH, holder="next")
    shop.request(next_run, contact, code="A1", as_of=NEXT_DAY, episode_on=DAY - timedelta(days=30), **POOL)
    assert (shop.enqueue(next_run).messages, shop.value("select count(*) from outbox.coupon_grant")) == (1, 1)


def test_someone_held_by_a_short_pool_is_served_when_it_is_filled_and_everyone_adds_up(shop: Shop) -> None:
    lucky, held = shop.contact(), shop.contact()
    run_id = shop.open_run()
    shop.request(run_id, lucky, code="A1", **POOL)
    row = {
        "as_of": DAY, "campaign": "winback", "step": "day60", "episode_on": DAY - timedelta(days=60), "due_on": DAY,
        "mode": "live", "definition_hash": shop.definition_hash,
    }  # fmt: skip
    shop.decide(run_id, held, "hold", "pool_dry", row=row)
    shortfall(shop, run_id, needed=2, unserved=1)
    done = shop.enqueue(run_id)
    assert (done.decisions, done.grants) == ({"hold": 1, "send": 1}, 1)

    next_run = shop.open_run(NEXT_DAY, clock=BUILT_AT + DAY_LENGTH, holder="next")
    shop.request(next_run, held, code="B1", as_of=NEXT_DAY, episode_on=row["episode_on"], **POOL)
    shortfall(shop, next_run, needed=1, unserved=0, as_of=NEXT_DAY)
    assert shop.enqueue(next_run).grants == 1
    assert shop.rows("select contact_id, code from outbox.coupon_grant order by code") == [(lucky, "A1"), (held, "B1")]


def test_a_pool_that_does_not_add_up_rolls_everything_back(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact(), code="A1", **POOL)
    shortfall(shop, run_id, needed=3, unserved=1)
    shop.validate(run_id)
    with pytest.raises(Refused, match=r"winback_discount10 of run .* does not add up: 3 needed, 1 codes proposed"):
        enqueue(run_id)
    assert set(ledger_rows(shop).values()) == {0}


def test_a_request_with_a_code_that_nobody_proposed_for_it_is_refused(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact(), code="A1", **POOL)
    shop.owner.execute("update allocations.coupon_allocations set contact_id = 'somebody else'")
    shop.validate(run_id)
    with pytest.raises(Refused, match="of which 0 carry"):
        enqueue(run_id)


def test_a_decision_to_send_without_a_request_is_refused(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact())
    shop.request(run_id, shop.contact())
    shop.owner.execute("delete from handoff.send_requests where contact_id = 'c00002'")
    shop.validate(run_id)
    with pytest.raises(Refused, match="2 decisions to send and 1 requests"):
        enqueue(run_id)


def test_a_hand_off_that_changed_after_the_gate_is_refused(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact())
    shop.validate(run_id)
    shop.owner.execute("update handoff.send_requests set tag = 'sneaked in'")
    with pytest.raises(Refused, match="has changed since the gate judged it"):
        enqueue(run_id)
    assert set(ledger_rows(shop).values()) == {0}


def test_the_hand_off_of_another_target_is_refused(shop: Shop) -> None:
    shop.target = "dev"
    run_id = shop.open_run()
    shop.request(run_id, shop.contact(), code="A1", **POOL)
    shop.validate(run_id)
    with pytest.raises(Refused) as refused:
        enqueue(run_id)
    words = str(refused.value)
    assert f"Run {run_id} was built for the dbt target 'dev' (column target of outbox.run)" in words
    assert "Nothing was granted, planned or sent. Unset WINBACK_TARGET" in words
    assert set(ledger_rows(shop).values()) == {0}


def test_a_hand_off_that_another_target_wrote_into_a_run_of_production_is_refused_and_closes_the_run(
    shop: Shop,
) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact(), code="A1", **POOL)
    shop.validate(run_id)
    shop.owner.execute("insert into handoff.built_by values ('dev')")
    refused = CliRunner().invoke(register(("enqueue", "gate")), ["enqueue", "--run", str(run_id)]).exception
    assert isinstance(refused, Refused)
    words = str(refused)
    assert f"The hand-off of run {run_id} was built by the dbt target 'dev' (handoff.handoff_totals)" in words
    assert "Nothing was granted, planned or sent. Unset WINBACK_TARGET" in words
    assert "build the day again" in words
    assert set(ledger_rows(shop).values()) == {0}
    assert shop.value("select state from outbox.run where run_id = %s", run_id) == "failed"


def test_a_run_that_the_gate_has_not_seen_is_refused(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact())
    with pytest.raises(WinbackError, match="is building, not validated"):
        enqueue(run_id)
    runs.mark_built(run_id)
    with pytest.raises(WinbackError, match="is built, not validated"):
        enqueue(run_id)
    with pytest.raises(WinbackError, match="has no run"):
        enqueue(uuid.uuid4())


def test_a_code_granted_since_the_build_is_a_loud_error(shop: Shop) -> None:
    shop.planned(code="A1", **POOL)
    run_id = shop.open_run(holder="second")
    shop.request(run_id, shop.contact(), code="A1", **POOL)
    shop.validate(run_id)
    before = ledger_rows(shop)
    with pytest.raises(Refused, match="coupon_grant_code"):
        enqueue(run_id)
    assert ledger_rows(shop) == before


def test_a_shadow_campaign_is_archived_and_nothing_else(shop: Shop) -> None:
    run_id = shop.open_run()
    row = {
        "as_of": DAY, "campaign": "winback", "step": "day30", "episode_on": DAY - timedelta(days=30), "due_on": DAY,
        "mode": "shadow", "definition_hash": shop.definition_hash,
    }  # fmt: skip
    shop.decide(run_id, shop.contact(), "send", row=row)
    done = shop.enqueue(run_id)
    assert (done.decisions, done.requests, done.messages) == ({"send": 1}, 0, 0)
    assert shop.value("select mode from outbox.decision") == "shadow"


def test_two_enqueues_of_one_run_at_once_freeze_it_once(shop: Shop) -> None:
    run_id = shop.open_run()
    for number in range(20):
        shop.request(run_id, shop.contact(), code=f"A{number}", **POOL)
    shop.validate(run_id)
    answers = together(*[lambda: enqueue(run_id)] * 3)
    assert answers[0] == answers[1] == answers[2]
    assert ledger_rows(shop)["coupon_grant"] == 20


def test_an_enqueue_that_dies_before_its_commit_leaves_nothing(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.request(run_id, shop.contact(), code="A1", **POOL)
    shop.validate(run_id)
    shop.owner.execute(
        "create function public.die() returns trigger language plpgsql as $$ begin raise exception 'died'; end $$;"
        "create trigger die before update on outbox.run for each row when (new.state = 'enqueued')"
        " execute function public.die()"
    )
    with pytest.raises(psycopg.errors.RaiseException):
        enqueue(run_id)
    assert set(ledger_rows(shop).values()) == {0}
    shop.owner.execute("drop trigger die on outbox.run; drop function public.die()")
    assert enqueue(run_id).grants == 1


def test_a_backfill_of_an_old_day_sends_nothing_again(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    out = Outbound()
    out.simulate()
    old = date(2017, 9, 28)
    run_id = shop.open_run(old, holder="backfill")
    shop.request(
        run_id, contact, as_of=old, episode_on=DAY - timedelta(days=30), not_before=SEND_AT - timedelta(days=3)
    )
    assert shop.enqueue(run_id).already_there == 1
    out.simulate()
    assert len(out.sent) == 1


def test_tag_requests_add_and_remove_tags(shop: Shop) -> None:
    run_id = shop.open_run()
    kept = {"run_id": run_id, "as_of": DAY, "campaign": "winback", "episode_on": DAY, "step": "tag", "tag": "away"}
    shop.insert("handoff.tag_requests", {**kept, "contact_id": "c1", "action": "add"})
    decided = {**kept, "due_on": DAY, "mode": "live", "definition_hash": shop.definition_hash}
    shop.decide(run_id, "c1", "send", row=decided)
    done = shop.enqueue(run_id)
    assert (done.tags_added, done.tags_removed) == (1, 0)
    next_run = shop.open_run(NEXT_DAY, clock=BUILT_AT + DAY_LENGTH, holder="next")
    shop.insert("handoff.tag_requests", {**kept, "run_id": next_run, "contact_id": "c1", "action": "remove"})
    assert shop.enqueue(next_run).tags_removed == 1
    assert shop.rows("select added_at, removed_at from outbox.contact_tag") == [(BUILT_AT, BUILT_AT + DAY_LENGTH)]


def test_enqueue_freezes_under_one_lock_taken_before_its_snapshot(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed while we wait for the lock lies within our snapshot: no conflict, no second try."""
    monkeypatch.setattr(freezing, "ATTEMPTS", 1)
    first = shop.open_run(holder="first")
    shop.request(first, shop.contact(), code="A1", **POOL)
    shop.validate(first)
    with ledger() as holder:
        holder.execute("select pg_advisory_lock(%s)", [GRANT_LOCK])
        answers: list[object] = []
        thread = threading.Thread(target=lambda: answers.append(enqueue(first)))
        thread.start()
        thread.join(timeout=1)
        assert thread.is_alive()
        shop.owner.execute("update outbox.run set detail = 'touched while enqueue waits' where run_id = %s", [first])
    thread.join()
    assert len(answers) == 1


def shortfall(shop: Shop, run_id: uuid.UUID, *, needed: int, unserved: int, as_of: date = DAY) -> None:
    """What the models say of a pool."""
    shop.insert("allocations.coupon_shortfalls", {
        "run_id": run_id, "promotion": POOL["promotion"], "as_of": as_of, "needed": needed,
        "available": needed - unserved, "unserved": unserved,
    })  # fmt: skip
