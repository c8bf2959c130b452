"""Who is sent what, and why not, over several days: one made-up shop, decided day after day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.integration import dbt_definition
from tests.integration.dbt_days import (
    at,
    begin,
    build,
    codes,
    contact,
    database,
    decisions,
    enqueue,
    insert,
    opens,
    order,
    rows,
)
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

DAYS = ("2017-10-01", "2017-10-02", "2017-10-04")


@pytest.fixture(scope="module")
def history(postgres: str, template_database: str) -> Iterator[dict[str, Any]]:
    """Three days decided and enqueued, with what happened between them. Day -> {(contact, step): decision}."""
    with database(postgres, template_database), connect(Role.OWNER) as connection:
        connection.autocommit = True
        _people(connection)
        codes(connection, "winback_discount10", 2)
        told: dict[str, Any] = {}
        for day in DAYS:
            run_id = begin(connection, day)
            build()
            told[day] = decisions(run_id)
            told[f"{day} requests"] = rows("select * from handoff.send_requests")
            told[f"{day} run"] = run_id
            enqueue(connection, run_id)
            if day == "2017-10-01":
                _afterwards(connection)
        yield told


def _people(connection: Any) -> None:
    due, late, older = at("2017-09-01"), at("2017-08-30"), at("2017-08-28")
    for contact_id, changes in {
        "due": {},
        "no_consent": {"consent_email": False},
        "unreadable_consent": {"consent_email": None},
        "future_consent": {"consent_email_at": at("2017-10-20")},
        "bad_address": {"email": "not an address"},
        "bad_zone": {"timezone": "Mars/Olympus"},
        "unknown_zone": {"timezone": None},
        "no_address": {"email": None},
        "bounced": {},
        "unsubscribed": {},
        "paused": {},
        "paused_after_a_no": {},
        "twin_a": {"email": "Twins@example.com"},
        "twin_b": {"email": " twins@EXAMPLE.com "},
        "opted_out_twin_a": {"email": "other.twins@example.com"},
        "opted_out_twin_b": {"email": "other.twins@example.com", "consent_email": False},
        "mass_today": {},
        "held_then_bought": {},
        "refunded": {},
    }.items():
        contact(connection, contact_id, **changes)
        order(connection, f"o-{contact_id}", contact_id, due)
    order(connection, "o-nobody", "unknown", due)
    connection.execute("update raw.orders set status = 'refunded', refunded_total = 20 where order_id = 'o-refunded'")
    for contact_id, ordered_at in {
        "late": late,
        "before_the_window": older,
        "day29": at("2017-09-02"),
        "caught_up": at("2017-09-05"),
    }.items():
        contact(connection, contact_id)
        order(connection, f"o-{contact_id}", contact_id, ordered_at)
    contact(connection, "spouse_a", phone="+12125550101", email="a@example.com")
    contact(connection, "spouse_b", phone="+12125550101", email="b@example.com")
    order(connection, "o-spouse_a", "spouse_a", due)
    order(connection, "o-spouse_b", "spouse_b", at("2017-09-20"))
    contact(connection, "cancelled_last")
    order(connection, "o-kept", "cancelled_last", due)
    order(connection, "o-cancelled", "cancelled_last", at("2017-09-15"), status="cancelled")
    contact(connection, "bought_since")
    order(connection, "o-before", "bought_since", at("2017-08-31"))
    order(connection, "o-since", "bought_since", at("2017-09-30", "12:00"))
    for contact_id, email in {"bad_phone": None, "bad_phone_good_email": "reached@example.com"}.items():
        contact(connection, contact_id, phone="0171 12x", consent_sms=True, email=email)
        order(connection, f"o-{contact_id}", contact_id, at("2017-08-05"))  # day 60 is the third day
    for number in (1, 2, 3):
        contact(connection, f"coupon_{number}", phone=f"+1212555020{number}", consent_sms=number == 1)
        order(connection, f"o-coupon_{number}", f"coupon_{number}", at("2017-08-02"))
    for contact_id, channel in {"bounced": "email"}.items():
        connection.execute(
            "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)"
            " select %s, outbox.address_hash(%s, email), 'bounced', 'provider', %s"
            " from raw.contacts where contact_id = %s",
            [channel, channel, at("2017-09-01"), contact_id],
        )
    for contact_id, kind, until, said in (
        ("unsubscribed", "unsubscribed", None, "2017-09-30"),
        ("paused", "paused", at("2017-10-02", "00:00"), "2017-09-30"),
        ("paused_after_a_no", "unsubscribed", None, "2017-09-28"),
        ("paused_after_a_no", "paused", at("2017-09-30"), "2017-09-29"),
    ):
        connection.execute(
            "insert into events.preference"
            " (event_key, channel, address_hash, kind, until, source, occurred_at, received_at)"
            " select %s, 'email', outbox.address_hash('email', email), %s, %s, 'preference_page', %s, %s"
            " from raw.contacts where contact_id = %s",
            [f"{contact_id} {kind}", kind, until, at(said), at(said), contact_id],
        )
    for contact_id in ("mass_today", "held_then_bought"):
        insert(
            connection, "raw.campaign_sends", contact_id=contact_id, campaign="newsletter", channel="email",
            sent_at=at("2017-10-01", "15:00"),
        )  # fmt: skip
    insert(
        connection, "raw.web_push_subscriptions", endpoint="https://push.example.com/due", contact_id="due",
        p256dh="k", auth="a", subscribed_at=at("2016-01-01"),
    )  # fmt: skip
    insert(
        connection, "raw.web_push_subscriptions", endpoint="https://push.example.com/old", contact_id="due",
        p256dh="k", auth="a", subscribed_at=at("2015-01-01"),
    )  # fmt: skip
    connection.execute(
        "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)"
        " values ('webpush', outbox.address_hash('webpush', 'https://push.example.com/old'), 'gone', 'provider', %s)",
        [at("2017-09-01")],
    )


def _afterwards(connection: Any) -> None:
    """Between the first day and the next: opens, a late order, new codes."""
    opens(connection, "due", "day30", at("2017-10-01", "15:00"))
    opens(connection, "unknown_zone", "day30", at("2017-10-01", "16:00"))
    opens(connection, "late", "day30", at("2017-10-01", "16:00"), is_machine=True)
    order(connection, "o-placed-late", "held_then_bought", at("2017-09-10"), updated_at=at("2017-10-01", "22:00"))
    insert(
        connection, "raw.coupon_codes", promotion="winback_discount10", code="winback_discount10-refill",
        loaded_at=at("2017-10-01", "18:00"),
    )  # fmt: skip
    insert(
        connection, "raw.coupon_codes", promotion="winback_discount10", code="winback_discount10-later",
        loaded_at=at("2017-10-03", "18:00"),
    )  # fmt: skip


def test_who_is_due_reachable_and_free_is_sent_the_step(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["due", "day30"] == "send"


def test_a_refunded_order_keeps_the_clock(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["refunded", "day30"] == "send"


def test_a_cancelled_last_order_leaves_the_one_before_it(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["cancelled_last", "day30"] == "send"


def test_a_day_missed_within_max_late_days_is_still_sent(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["late", "day30"] == "send"


def test_who_is_not_due_in_the_window_is_not_evaluated(history: dict[str, Any]) -> None:
    assert not {"day29", "before_the_window"} & {contact_id for contact_id, _ in history["2017-10-01"]}


@pytest.mark.parametrize(
    ("contact_id", "decision"),
    [
        ("no_consent", "skip/no_email_consent"),
        ("unreadable_consent", "skip/no_email_consent"),
        ("future_consent", "skip/no_email_consent"),
        ("bad_address", "skip/invalid_address"),
        ("bad_zone", "skip/invalid_address"),
        ("unknown", "skip/invalid_address"),
        ("no_address", "skip/no_reachable_channel"),
        ("bounced", "skip/suppressed"),
        ("unsubscribed", "skip/suppressed"),
        ("paused", "skip/suppressed"),
        ("paused_after_a_no", "skip/suppressed"),
        ("opted_out_twin_a", "skip/no_email_consent"),
        ("bought_since", "skip/purchased_since"),
        ("spouse_a", "skip/purchased_since"),
        ("mass_today", "hold/frequency_cap"),
    ],
)
def test_who_is_left_out_has_a_reason(history: dict[str, Any], contact_id: str, decision: str) -> None:
    assert history["2017-10-01"][contact_id, "day30"] == decision


@pytest.mark.parametrize(
    ("contact_id", "is_known", "is_timezone_malformed", "email_obstacle"),
    [
        ("due", "true", "false", None),
        ("unknown", "false", "false", "no_reachable_channel"),
        ("bad_zone", "true", "true", None),
        ("bad_address", "true", "false", "invalid_address"),
    ],
)
def test_a_decision_saw_what_was_invalid(
    history: dict[str, Any], contact_id: str, is_known: str, is_timezone_malformed: str, email_obstacle: str | None
) -> None:
    seen = rows(
        "select seen ->> 'is_known', seen ->> 'is_timezone_malformed', seen #>> '{obstacles,email}'"
        " from cohorts.fct_decisions where as_of = '2017-10-01' and step = 'day30' and contact_id = %s",
        contact_id,
    )
    assert seen == [(is_known, is_timezone_malformed, email_obstacle)]


def test_a_malformed_phone_leaves_the_mail_and_without_one_nobody_is_written_to(history: dict[str, Any]) -> None:
    day = history["2017-10-04"]
    assert day["bad_phone", "day60"] == "skip/invalid_address"
    assert day["bad_phone_good_email", "day60"] == "send"
    (request,) = [row for row in history["2017-10-04 requests"] if "bad_phone_good_email" in row]
    assert ["email"] in request and ["sms", "email"] not in request


def test_of_two_contacts_of_one_person_one_is_written_to(history: dict[str, Any]) -> None:
    assert sorted(history["2017-10-01"][twin, "day30"] for twin in ("twin_a", "twin_b")) == ["send", "skip/same_person"]


def test_a_pool_that_runs_dry_holds_whom_it_cannot_serve(history: dict[str, Any]) -> None:
    served = [history["2017-10-01"][f"coupon_{number}", "day60"] for number in (1, 2, 3)]
    assert sorted(served) == ["hold/pool_dry", "send", "send"]


def test_who_was_held_for_a_code_gets_it_once_the_pool_is_refilled(history: dict[str, Any]) -> None:
    held = [key for key, decision in history["2017-10-01"].items() if decision == "hold/pool_dry"]
    assert [history["2017-10-02"][key] for key in held] == ["send"]


def test_a_capped_contact_is_mailed_the_next_day(history: dict[str, Any]) -> None:
    assert history["2017-10-02"]["mass_today", "day30"] == "send"


def test_a_late_order_takes_its_contact_out_of_the_cohort(history: dict[str, Any]) -> None:
    assert history["2017-10-01"]["held_then_bought", "day30"] == "hold/frequency_cap"
    assert ("held_then_bought", "day30") not in history["2017-10-02"]


def test_a_final_skip_is_not_evaluated_again(history: dict[str, Any]) -> None:
    assert ("no_consent", "day30") not in history["2017-10-02"]


def test_who_was_messaged_is_not_evaluated_again(history: dict[str, Any]) -> None:
    assert ("due", "day30") not in history["2017-10-02"]


def test_an_open_is_followed_by_a_push_after_its_wait_though_another_browser_of_theirs_is_gone(
    history: dict[str, Any],
) -> None:
    assert history["2017-10-04"]["due", "day30_push"] == "send"
    assert history["2017-10-04"]["unknown_zone", "day30_push"] == "skip/no_reachable_channel"


def test_a_machine_open_is_followed_by_nothing(history: dict[str, Any]) -> None:
    assert ("late", "day30_push") not in history["2017-10-04"]


def test_the_ledger_of_decisions_keeps_every_day_and_a_full_refresh_loses_nothing(history: dict[str, Any]) -> None:
    kept = (
        "select as_of, contact_id, step, decision, reason, reasons::text, seen::text from cohorts.fct_decisions"
        " order by 1, 2, 3",
        # The late order is known by now: a day that is built anew goes by it.
        "select * from cohorts.dormant_at_30 where contact_id <> 'held_then_bought' order by as_of, contact_id",
        "select * from cohorts.dormant_at_60 order by as_of, contact_id",
        "select * from customers.fct_purchases order by order_id",
        "select * from history.order_statuses order by order_id, dbt_valid_from",
        "select contact_id, dbt_valid_from, email_hash from history.consents order by 1, 2",
        "select * from handoff.send_requests order by contact_id, step",
        "select * from allocations.coupon_allocations order by code",
        "select request_count, request_checksum from handoff.handoff_totals",
    )
    before = [rows(query) for query in kept]
    assert {str(row[0]) for row in before[0]} == set(DAYS)
    build("--full-refresh")
    for query, then in zip(kept, before, strict=True):
        assert rows(query) == then, query


@pytest.mark.parametrize("role", [Role.OWNER, Role.DBT])
@pytest.mark.parametrize("table", ["consents", "order_statuses"])
@pytest.mark.parametrize("how", ["delete from {}", "truncate {}"])
def test_nobody_can_empty_the_history(history: dict[str, Any], how: str, table: str, role: Role) -> None:
    statement = sql.SQL(how).format(sql.Identifier("history", table))  # type: ignore[arg-type]
    with (
        connect(role) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match=f"history.{table} is history: nothing is deleted"),
    ):
        connection.execute(statement)


def test_days_run_again_or_out_of_order_message_nobody_twice(history: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        run_id = begin(connection, "2017-10-03", "2017-10-04")
    build()
    sent = {key for day in DAYS for key, told in history[day].items() if told == "send"}
    assert not sent & set(decisions(run_id))
    assert rows("select contact_id from cohorts.dormant_at_30 where as_of = '2017-10-02'") == [("day29",)]
    assert rows("select count(*) from cohorts.fct_decisions where run_id = %s", history["2017-10-04 run"]) != [(0,)]


def test_an_episode_that_a_correction_moved_slightly_is_already_messaged(history: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute(
            "update raw.orders set ordered_at = %s, updated_at = %s where order_id = 'o-due'",
            [at("2017-09-05"), at("2017-10-05", "03:00")],
        )
        run_id = begin(connection, "2017-10-05")
    build()
    assert decisions(run_id)["due", "day30"] == "skip/already_messaged"


def test_each_campaign_of_a_run_is_decided_by_its_own_mode(history: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        for number in (1, 2):
            contact(connection, f"live_{number}")
            order(connection, f"o-live_{number}", f"live_{number}", at("2017-09-08"))
        campaigns = {
            "in_shadow": {"mode": "shadow"},
            "for_friends": {"mode": "allowlist", "allowlist": ["live_1"], "live_from": "2017-10-01"},
            "not_yet": {"live_from": "2017-10-10"},
            "left_alone": {"holdout_percent": 100},
            "hardly_anyone_left_alone": {"holdout_percent": 0.5, "priority": 30},
            "off": {"enabled": False},
        }
        run_id = begin(
            connection,
            "2017-10-08",
            definitions=[dbt_definition.winback(campaign=name, **changes) for name, changes in campaigns.items()],
            mode="live",
        )
    build()
    told = {
        (campaign, contact_id): (mode, decision, reason)
        for campaign, contact_id, mode, decision, reason in rows(
            "select campaign, contact_id, mode, decision, reason from cohorts.fct_decisions where run_id = %s", run_id
        )
    }
    assert told["in_shadow", "live_1"] == ("shadow", "send", None)
    assert told["for_friends", "live_1"] == ("allowlist", "send", None)
    assert told["for_friends", "live_2"] == ("shadow", "send", None)
    assert told["not_yet", "live_1"] == ("live", "skip", "before_live")
    assert told["left_alone", "live_1"] == ("live", "holdout", "holdout")
    assert told["off", "live_1"] == ("live", "skip", "step_disabled")
    assert told["hardly_anyone_left_alone", "live_1"] == ("live", "hold", "outranked")
    assert told["hardly_anyone_left_alone", "live_2"] == ("live", "send", None)
    assert sorted(rows("select campaign, contact_id from handoff.send_requests where contact_id like 'live%'")) == [
        ("for_friends", "live_1"),
        ("hardly_anyone_left_alone", "live_2"),
    ]


def test_a_day_that_is_caught_up_on_too_late_gives_no_code_to_whom_no_message_could_reach(
    history: dict[str, Any],
) -> None:
    with connect(Role.OWNER) as connection:
        for clock, decision in ((at("2017-10-08", "05:00"), "send"), (at("2017-10-09", "05:00"), "skip/too_late")):
            run_id = begin(connection, "2017-10-05", clock=clock)
            build()
            assert decisions(run_id)["caught_up", "day30"] == decision
