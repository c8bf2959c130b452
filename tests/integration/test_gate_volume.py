"""How many people a day should be about, and how many of them can be reached: what the gate expects."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.gate_day import CLOCK, DAY, Built, broken, renamed


def test_the_first_day_is_measured_against_the_purchases(built: Built) -> None:
    for number in range(30):
        built.contact(f"buyer{number}")
        built.bought(f"buyer{number}", 30)
    assert "volume_day30" in broken(built), "33 bought 30 days ago and 3 were decided"


def test_too_many_decisions_are_noticed_as_well_as_too_few(built: Built) -> None:
    for number in range(30):
        built.decide(f"ghost{number}", "day30", 30, decision="skip", reason="no_email_consent")
    assert "volume_day30" in broken(built)


def test_a_day_that_is_run_again_counts_what_was_decided_before(built: Built) -> None:
    for number in range(30):
        built.contact(f"before{number}")
        built.quiet(f"before{number}", 30)
    assert {"volume_day30", "cohorts_are_decided"} <= broken(built)
    built.owner.execute(
        "insert into outbox.decision (run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision,"
        " reason, definition_hash, archived_at) select %s, %s, contact_id, 'winback', 'day30', %s, %s, 'live', 'skip',"
        " 'no_email_consent', %s, now() from raw.contacts where contact_id like 'before%%'",
        [built.run_id, DAY, DAY - timedelta(days=30), DAY, built.definition_hash],
    )
    assert broken(built) == set()


@pytest.mark.parametrize("former", [None, "month"])
def test_a_day_that_is_run_again_knows_a_step_by_its_former_key(built: Built, former: str | None) -> None:
    if former:
        renamed(built, "day30", former)
    built.owner.execute("delete from cohorts.fct_decisions where contact_id in ('silent', 'drawn')")
    for number in range(30):
        built.contact(f"before{number}")
        built.quiet(f"before{number}", 30)
    built.owner.execute(
        "insert into outbox.decision (run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision,"
        " reason, definition_hash, archived_at) select %s, %s, contact_id, 'winback', 'month', %s, %s, 'live', 'skip',"
        " 'no_email_consent', %s, now() from cohorts.dormant_at_30 where contact_id <> 'mailed'",
        [built.run_id, DAY, DAY - timedelta(days=30), DAY, built.definition_hash],
    )
    assert broken(built) == (set() if former else {"volume_day30", "cohorts_are_decided"})


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (None, True),
        ("completed", True),
        ("Refunded", True),
        ("cancelled", False),
        (" Canceled\n", False),
        ("CANCELLED ", False),
    ],
)
def test_the_volume_counts_the_purchases_that_the_models_count(built: Built, status: str | None, counts: bool) -> None:
    for number in range(30):
        built.contact(f"buyer{number}")
        built.bought(f"buyer{number}", 30)
    built.owner.execute("alter table raw.orders alter column status drop not null")
    built.owner.execute("update raw.orders set status = %s where contact_id like 'buyer%%'", [status])
    assert ("volume_day30" in broken(built)) == counts


def test_who_bought_again_is_not_expected(built: Built) -> None:
    for number in range(30):
        built.contact(f"buyer{number}")
        built.bought(f"buyer{number}", 30)
        built.bought(f"buyer{number}", 12)
    assert "volume_day30" not in broken(built)


def _earlier_day(built: Built, archive: str, *values: object) -> None:
    """Yesterday as a run that was enqueued. `archive` inserts its decisions: run, day, `values`, definition."""
    built.owner.execute("update outbox.run set state = 'failed' where run_id = %s", [built.run_id])
    earlier = built.owner.execute(
        "insert into outbox.run (mode, clock, definition_hash, target, holder, lease_until)"
        " values ('live', %s, 'bundle', 'prod', 'x', now()) returning run_id",
        [CLOCK - timedelta(days=1)],
    ).fetchone()
    assert earlier is not None
    built.insert("outbox.run_day", run_id=earlier[0], as_of=DAY - timedelta(days=1), clock=CLOCK - timedelta(days=1))
    built.owner.execute(archive, [earlier[0], DAY - timedelta(days=1), *values, built.definition_hash])  # type: ignore[arg-type]
    for state in ("built", "validated", "enqueued"):
        built.owner.execute("update outbox.run set state = %s where run_id = %s", [state, earlier[0]])


def test_losing_everybodys_consent_is_noticed_although_nothing_would_be_sent(built: Built) -> None:
    archive = (
        "insert into outbox.decision (run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision,"
        " reason, definition_hash, archived_at)"
        " select %s, %s, 'old' || n, 'winback', 'day30', '2017-08-01', '2017-09-30', 'live',"
        " case when n <= 60 then 'send' else 'skip' end, case when n > 60 then 'no_email_consent' end, %s, now()"
        " from generate_series(1, 100) as n"
    )
    _earlier_day(built, archive)
    for number in range(40):
        built.decide(
            f"lost{number}", "day30", 33, decision="skip", reason="no_email_consent", due_on=DAY - timedelta(1)
        )
    assert "reachable_share_as_usual" in broken(built)
    built.owner.execute("update cohorts.fct_decisions set reason = 'already_messaged' where contact_id like 'lost%%'")
    assert "reachable_share_as_usual" not in broken(built), "a day that is run again sends nothing, and that is right"


@pytest.mark.parametrize("skips", [0, 95])
def test_a_day_that_was_held_is_remembered_by_whom_it_could_reach(built: Built, skips: int) -> None:
    archive = (
        "insert into outbox.decision (run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision,"
        " reason, reasons, definition_hash, archived_at)"
        " select %s, %s, 'old' || n, 'winback', 'day30', '2017-08-01', '2017-09-30', 'live', 'hold', 'gate_failed',"
        " array_remove(array['gate_failed', case when n <= %s then 'no_email_consent' end], null), %s, now()"
        " from generate_series(1, 100) as n"
    )
    _earlier_day(built, archive, skips)
    for number in range(40):
        built.decide(f"few{number}", "day30", 33, decision="skip", reason="no_email_consent", due_on=DAY - timedelta(1))
    for number in range(4):
        built.decide(f"some{number}", "day30", 33, due_on=DAY - timedelta(1))
    assert ("reachable_share_as_usual" in broken(built)) == (skips == 0)
