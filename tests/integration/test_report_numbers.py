"""The report models against the week of `report_story`: each number was counted by hand from the table there."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from reports import read
from tests.integration.report_scenario import Scenario, at, on, select, winback
from tests.integration.report_story import Story

pytest_plugins = ["tests.integration.report_warehouse"]


def test_the_reporting_clock_is_the_latest_business_time_of_the_ledger(week: Story) -> None:
    assert select("select reporting_at from reports.rpt_clock") == [(at(8, 5),)]


def test_a_providers_own_clock_does_not_bring_the_future_in(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    message = it.message(it.run(on(2)), on(2), "ann")
    it.delivery(message, "delivered", at(20, 12))
    it.order("later", "ann", at(5, 12))
    assert select("select reporting_at from reports.rpt_clock") == [(at(2, 10),)]
    assert select("select order_id from reports.rpt_return_orders") == []


def test_the_reporting_clock_knows_what_a_patient_campaign_sent_weeks_after_its_day(
    reports: psycopg.Connection,
) -> None:
    it = Scenario(reports)
    it.define(winback(max_late_days=30))
    it.contact("ann")
    it.message(it.run(on(2)), on(2), "ann", when=at(20, 10))
    it.run(on(20))
    assert select("select reporting_at from reports.rpt_clock") == [(at(20, 10),)]


def test_a_run_says_what_it_decided_and_what_became_of_its_messages(week: Story) -> None:
    columns = (
        "evaluated, send, hold, skip, holdout, messages, accepted, rejected, in_doubt, skipped, planned, "
        "is_held, has_made_up_people, state, timezone"
    )
    query = f"select {columns} from reports.rpt_runs where run_id = %s"  # noqa: S608 - the test's own words
    assert select(query, week.runs["second"]) == [
        (11, 8, 1, 1, 1, 8, 5, 1, 1, 1, 0, False, True, "enqueued", "America/New_York")
    ]
    assert select(query, week.runs["sixth"]) == [
        (1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, True, True, "enqueued", "America/New_York")
    ]
    assert select(query, week.runs["seventh"])[0][:6] == (0, 0, 0, 0, 0, 0)


def test_everyone_is_accounted_for_once_even_when_a_day_ran_twice(week: Story) -> None:
    rows = select("select as_of, step, decision, reason, contacts from reports.rpt_funnel where as_of = %s", on(3))
    assert sorted(rows, key=str) == [
        (on(3), "day30", "skip", "suppressed", 1),
        (on(3), "day90", "send", None, 1),
    ]
    assert select("select sum(contacts) from reports.rpt_funnel") == [(11 + 2 + 1 + 1,)]


def test_a_run_is_shown_as_it_decided_and_its_standing_decisions_apart(week: Story) -> None:
    rows = select(
        "select decision, contacts, standing_contacts from reports.rpt_run_funnel where run_id = %s order by 1, reason",
        week.runs["third again"],
    )
    assert rows == [("skip", 1, 0), ("skip", 1, 1)]  # already_messaged does not stand; suppressed is the newest
    assert select("select count(*) from reports.rpt_run_funnel where standing_contacts > contacts") == [(0,)]


def test_accepted_refused_and_doubtful_messages_are_told_apart(week: Story) -> None:
    rows = select(
        "select step, channel, state, reason, messages from reports.rpt_sends where as_of = %s order by 1, 2, 3", on(2)
    )
    assert rows == [
        ("day30", "email", "accepted", None, 3),
        ("day30", "email", "skipped", "purchased_since", 1),
        ("day60", "email", "in_doubt", "timeout", 1),
        ("day60", "email", "rejected", "http_400", 1),
        ("day60", "sms", "accepted", None, 1),
        ("day90", "email", "accepted", None, 1),
    ]


def test_a_machine_open_never_counts_as_an_open(week: Story) -> None:
    rows = select(
        "select step, channel, accepted, delivered, opened, opened_by_machine_only, clicked, bounced,"
        " unsubscribed, complained"
        " from reports.rpt_engagement order by as_of, step"
    )
    assert rows == [
        ("day30", "email", 3, 3, 2, 1, 0, 0, 0, 0),  # ben and lea opened; for ann a machine did
        ("day60", "sms", 1, 1, 1, 0, 1, 0, 0, 0),  # who clicks has opened
        ("day90", "email", 1, 0, 0, 0, 0, 1, 0, 0),
        ("day90", "email", 1, 1, 1, 0, 0, 0, 1, 0),
        ("day30_push", "webpush", 1, 1, 1, 0, 1, 0, 0, 0),
    ]


def test_an_order_is_credited_once_to_what_was_touched_last_in_time(week: Story) -> None:
    rows = select(
        "select order_id, step, attributed_by, has_used_code, is_first, currency, total, refunded, revenue"
        " from reports.rpt_return_orders order by order_id"
    )
    assert rows == [
        ("ann-1", "day30", None, False, True, "USD", Decimal(50), Decimal(0), Decimal(50)),
        ("ben-1", "day30", "open", False, True, "USD", Decimal(30), Decimal(0), Decimal(30)),
        ("ben-2", "day30", None, False, False, "EUR", Decimal(20), Decimal(0), Decimal(20)),
        ("cat-1", "day60", "click", True, True, "USD", Decimal(40), Decimal(15), Decimal(25)),
        ("lea-1", "day30_push", "push_click", False, True, "USD", Decimal(25), Decimal(0), Decimal(25)),
    ]


def test_orders_of_the_future_cancelled_ones_and_those_of_people_not_reached_do_not_count(week: Story) -> None:
    counted = {order for (order,) in select("select order_id from reports.rpt_return_orders")}
    assert not counted & {"ann-2", "gus-2", "gus-1", "fay-1", "jon-1", "ida-1"}


def test_people_reached_and_come_back_by_step(week: Story) -> None:
    rows = select(
        "select step, channel, people_reached, people_came_back, people_attributed, orders, attributed_orders,"
        " code_orders"
        " from reports.rpt_returns order by as_of, step"
    )
    assert rows == [
        ("day30", "email", 3, 2, 1, 3, 1, 0),
        ("day60", "sms", 1, 1, 1, 1, 1, 1),
        ("day90", "email", 0, 0, 0, 0, 0, 0),
        ("day90", "email", 1, 0, 0, 0, 0, 0),
        ("day30_push", "webpush", 1, 1, 1, 1, 1, 0),
    ]


def test_currencies_stay_apart_and_refunds_are_deducted(week: Story) -> None:
    rows = select(
        "select currency, sum(orders)::int, sum(revenue), sum(refunded), sum(attributed_revenue)"
        " from reports.rpt_revenue group by currency order by currency"
    )
    assert rows == [
        ("EUR", 1, Decimal(20), Decimal(0), Decimal(0)),
        ("USD", 4, Decimal(130), Decimal(15), Decimal(80)),
    ]


def test_the_holdout_is_compared_by_intention_to_treat_from_the_same_clock(week: Story) -> None:
    rows = select(
        "select arm, sum(people)::int, sum(people_bought)::int, sum(people_fully_watched)::int"
        " from reports.rpt_holdout group by arm order by arm"
    )
    # Written to: eight of the 2nd, gus, and mia, whose day the gate held; lea's push is the same episode.
    # Bought: ann, ben, cat, fay, jon, lea.
    assert rows == [("held_out", 1, 1, 0), ("written_to", 10, 6, 0)]


def test_who_was_held_at_first_is_compared_from_that_day_on(reports: psycopg.Connection) -> None:
    """Otherwise those who buy while they wait would be missing from one arm, and stand in the other."""
    it = Scenario(reports)
    it.define(winback())
    first, second = it.run(on(2)), it.run(on(3))
    for contact_id in ("waits", "left_alone", "sent", "skipped", "capped"):
        it.contact(contact_id)
    it.decide(first, on(2), "left_alone", "day60", "holdout", "holdout")
    it.decide(first, on(2), "waits", "day60", "hold", "pool_dry")
    it.decide(second, on(3), "waits", "day60", "skip", "purchased_since", episode_on=on(2) - timedelta(days=30))
    it.decide(first, on(2), "capped", "day60", "hold", "gate_failed", reasons=["gate_failed", "frequency_cap"])
    it.decide(second, on(3), "capped", "day60", "send", episode_on=on(2) - timedelta(days=30))
    it.decide(first, on(2), "skipped", "day60", "hold", "gate_failed", reasons=["gate_failed", "no_email_consent"])
    it.decide(second, on(3), "skipped", "day60", "skip", "no_email_consent", episode_on=on(2) - timedelta(days=30))
    it.decide(second, on(3), "sent", "day60", "send")
    for contact_id in ("waits", "left_alone"):
        it.order(f"o-{contact_id}", contact_id, at(2, 20))
    query = "select arm, as_of, people::int, people_bought::int from reports.rpt_holdout order by arm, as_of"
    assert select(query) == [("held_out", on(2), 1, 1), ("written_to", on(2), 2, 1), ("written_to", on(3), 1, 0)]


def test_a_pool_is_shown_as_it_stood_on_each_day(week: Story) -> None:
    query = "select loaded, granted, released, redeemed, codes_left, granted_today, is_dry from reports.rpt_coupons"
    where = " where promotion = %s and as_of = %s"
    assert select(query + where, "winback_discount10", on(2)) == [(4, 3, 1, 1, 2, 3, False)]
    assert select(query + where, "winback_discount20", on(2)) == [(1, 1, 0, 0, 0, 1, True)]
    assert select(query + where, "winback_discount20", on(3)) == [(2, 2, 0, 0, 0, 1, True)]


def test_a_pools_pace_counts_who_found_no_code_and_the_days_that_were_run(week: Story) -> None:
    query = "select unserved_today, daily_use, runway_days, runs_dry_on, is_low from reports.rpt_coupons"
    where = " where promotion = %s and as_of = %s"
    assert select(query + where, "winback_discount10", on(2)) == [(0, Decimal("3.00"), 0, on(2), True)]
    assert select(query + where, "winback_discount10", on(3)) == [(0, Decimal("1.50"), 1, on(4), True)]
    assert select(query + where, "winback_discount20", on(2)) == [(1, Decimal("2.00"), 0, on(2), True)]
    assert select(query + where, "winback_discount10", on(8)) == [(0, Decimal("0.50"), 4, on(12), True)]


def test_the_headline_counts_people_once_over_all_runs(week: Story) -> None:
    with read.analyst() as connection:
        page = read.page(connection, read.runs(connection))
    head, back = page.headline, page.back
    assert (head["people_reached"], back["people_came_back"], back["orders"]) == (5, 4, 5)
    assert (back["people_attributed"], back["attributed_orders"], back["code_orders"], back["refunded_orders"]) == (
        3,
        3,
        1,
        1,
    )
    assert (head["evaluated"], head["send"], head["hold"], head["skip"], head["holdout"]) == (14, 10, 1, 2, 1)
    assert head["in_doubt"] == 1
    assert [(row["stage"], row["counted"]) for row in page.stages] == [
        ("evaluated", 14), ("send", 10), ("accepted", 7), ("delivered", 6), ("opened", 5), ("clicked", 2),
        ("came_back", 4),
    ]  # fmt: skip


def test_the_headline_of_one_run_is_its_own(week: Story) -> None:
    with read.analyst() as connection:
        page = read.page(connection, [read.run(connection, week.runs["second"])])
    head, back = page.headline, page.back
    assert (head["people_reached"], back["people_came_back"], back["orders"], head["evaluated"]) == (4, 3, 4, 11)
    assert {(row["currency"], row["revenue"]) for row in page.revenue} == {("USD", Decimal(105)), ("EUR", Decimal(20))}
    assert [(row["kind"], row["reason"], row["contacts"]) for row in page.left_out] == [
        ("skip", "no_email_consent", 1), ("hold", "pool_dry", 1), ("holdout", "holdout", 1),
        ("stopped", "purchased_since", 1), ("refused", "http_400", 1),
    ]  # fmt: skip


def test_a_share_is_given_of_thirty_people_and_not_of_fewer(week: Story) -> None:
    with read.analyst() as connection:
        page = read.page(connection, read.runs(connection))
    assert {row["percent"] for row in page.stages} == {None}
    assert all(row["is_too_small"] for row in page.holdout)


def test_an_order_refunded_in_the_future_is_not_refunded_yet(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.message(it.run(on(2)), on(2), "ann")
    it.run(on(5))
    it.order("one", "ann", at(3, 9), "10.00", status="refunded", updated_at=at(4, 9))
    it.order("two", "ann", at(3, 10), "10.00", status="refunded", updated_at=at(9, 9))
    it.order("three", "ann", at(3, 11), "10.00", status="cancelled", updated_at=at(9, 9))
    rows = select("select order_id, revenue from reports.rpt_return_orders order by order_id")
    assert rows == [("one", Decimal(0)), ("three", Decimal(10)), ("two", Decimal(10))]


@pytest.mark.parametrize(
    ("kind", "channel", "touched", "ordered", "expected"),
    [
        ("clicked", "email", at(2, 12), at(7, 11, 59), "click"),
        ("clicked", "email", at(2, 12), at(7, 12, 1), None),
        ("opened", "email", at(2, 12), at(3, 11, 59), "open"),
        ("opened", "email", at(2, 12), at(3, 12, 1), None),
        ("clicked", "webpush", at(2, 12), at(3, 11, 59), "push_click"),
        ("clicked", "webpush", at(2, 12), at(3, 12, 1), None),
        ("clicked", "email", at(4, 12), at(3, 12), None),
    ],
)
def test_an_order_is_attributed_inside_its_window_alone(  # noqa: PLR0917
    reports: psycopg.Connection, kind: str, channel: str, touched: Any, ordered: Any, expected: str | None
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    message = it.message(it.run(on(2)), on(2), "ann", channels=(channel,))
    it.engagement(message, kind, touched, channel)
    it.run(on(9))  # the reporting clock goes on
    it.order("one", "ann", ordered)
    assert select("select attributed_by from reports.rpt_return_orders") == [(expected,)]


def test_a_message_that_bounced_takes_no_credit_from_an_earlier_one(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.message(it.run(on(2)), on(2), "ann")
    bounced = it.message(it.run(on(4)), on(4), "ann", "day60")
    it.delivery(bounced, "bounced", at(4, 11))
    it.run(on(9))
    it.order("one", "ann", at(5, 9))
    assert select("select order_id, step from reports.rpt_return_orders") == [("one", "day30")]


def test_an_order_belongs_to_nobody_after_thirty_days(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.message(it.run(on(2)), on(2), "ann")
    it.run(on(20, month=11))
    it.order("in time", "ann", at(1, 9, month=11))
    it.order("too late", "ann", at(1, 11, month=11))
    assert select("select order_id from reports.rpt_return_orders") == [("in time",)]


def test_a_purchase_under_another_contact_of_the_person_counts_once(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann", email="home@example.com")
    it.contact("ann at work", email=" HOME@example.com")
    it.contact("bob")
    run = it.run(on(2))
    for who, step in (("ann", "day30"), ("ann at work", "day60")):
        it.decide(run, on(2), who, step, "send")
        it.message(run, on(2), who, step)
    it.run(on(5))
    it.order("one", "ann at work", at(3, 9), "10.00")
    it.order("two", "bob", at(3, 9), "10.00")
    assert select("select order_id, is_first from reports.rpt_return_orders") == [("one", True)]
    assert select("select people, people_bought from reports.rpt_holdout") == [(2, 2)]


def test_reports_look_orders_up_and_never_read_their_history(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.message(it.run(on(2)), on(2), "ann")
    it.grant("winback_discount10", "T10-1", "ann", "day60", on(2))
    reports.execute(
        "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
        " select n::text, 'c' || n % 5000, timestamptz '2017-01-01' + n * interval '1 minute', 'completed', 10,"
        " 'USD', now()"
        " from generate_series(1, 100000) as n"
    )
    reports.execute("analyze")
    for view in ("rpt_returns", "rpt_revenue", "rpt_holdout", "rpt_coupons", "rpt_messages", "rpt_runs", "rpt_funnel"):
        query = f"explain select * from reports.{view}"  # noqa: S608 - the test's own words
        plan = "\n".join(row[0] for row in reports.execute(query.encode()))
        assert "Seq Scan on orders" not in plan, f"{view} reads every order:\n{plan}"
    plan = "\n".join(
        row[0] for row in reports.execute("explain select * from reports.rpt_timeline where contact_id = 'c7'")
    )
    assert "Seq Scan on orders" not in plan, plan


def test_no_report_holds_an_address_and_an_analyst_reads_them_all(week: Story) -> None:
    views = [name for (name,) in select("select viewname from pg_views where schemaname = 'reports'")]
    assert len(views) >= 14
    for view in views:
        text = "\n".join(str(row) for row in select(f"select * from reports.{view}"))  # noqa: S608 - names from the catalogue
        for secret in ("example.com", "+1212", "Hermenegildo"):
            assert secret not in text, f"reports.{view} shows {secret!r}"
    with read.analyst() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select email from raw.contacts")


def test_every_report_and_column_says_in_the_database_what_it_is(reports: psycopg.Connection) -> None:
    silent = reports.execute(
        "select c.relname, a.attname from pg_class as c"
        " inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0"
        " where c.relnamespace = 'reports'::regnamespace and c.relkind = 'v'"
        " and (obj_description(c.oid, 'pg_class') is null or col_description(c.oid, a.attnum) is null)"
    ).fetchall()
    assert silent == []


def test_a_live_ledger_counts_up_to_the_present_and_not_to_its_last_message(reports: psycopg.Connection) -> None:
    assert select("select reporting_at from reports.rpt_clock") == [(None,)]
    it = Scenario(reports)
    it.define(winback())
    it.run(on(2), mode="live")
    assert select("select now() - reporting_at < '1 minute' from reports.rpt_clock") == [(True,)]
