"""What the report says of pools of codes: what is left of them, and when they run dry."""

from __future__ import annotations

from functools import partial

import psycopg

from tests.integration.report_scenario import Scenario, at, on, select, winback

pytest_plugins = ["tests.integration.report_warehouse"]


def test_codes_that_are_gone_and_codes_that_others_used_are_not_counted_as_left(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.codes("winback_discount10", [f"T10-{number}" for number in range(6)])
    for day in (2, 3):
        it.run(on(day))
    query = (
        "select as_of, loaded::int, codes_left::int, is_dry from reports.rpt_coupons where promotion = %s order by 1"
    )
    left = partial(select, query, "winback_discount10")
    assert left() == [(on(2), 6, 6, False), (on(3), 6, 6, False)]
    it.grant("winback_discount10", "T10-0", "ann", "day60", on(2))
    it.grant("winback_discount10", "T10-1", "ann", "day90", on(2))
    assert left() == [(on(2), 6, 4, False), (on(3), 6, 4, False)]
    reports.execute("delete from raw.coupon_codes where code = 'T10-0'")  # a loader that lists what is unused
    assert left() == [(on(2), 5, 4, False), (on(3), 5, 4, False)]
    it.order("o1", "ann", at(2, 12), coupon_code="T10-1")  # by whom it was given to
    it.order("o2", "ann", at(3, 12), coupon_code="T10-2")  # by somebody who was given none
    it.order("o3", "ann", at(3, 12), coupon_code="SUMMER")  # of no pool
    assert left() == [(on(2), 5, 4, False), (on(3), 5, 3, False)]
    for number in (3, 4, 5):
        it.order(f"used-{number}", "ann", at(1, 12), coupon_code=f"T10-{number}")
    assert left() == [(on(2), 5, 1, False), (on(3), 5, 0, True)]


def test_a_code_that_was_used_and_then_given_back_is_counted_once(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.codes("winback_discount10", ["T10-1", "T10-2"])
    reports.execute("update raw.coupon_codes set expires_at = %s", [at(30, 0)])
    for day in (2, 3, 4, 5):
        it.run(on(day))
    it.grant("winback_discount10", "T10-1", "ann", "day60", on(2), released_at=at(4, 10))
    it.order("o1", "ann", at(3, 12), coupon_code="T10-1")
    query = "select as_of, codes_left::int, is_dry, runs_dry_on is null from reports.rpt_coupons where promotion = %s"
    assert select(f"{query} order by 1", "winback_discount10") == [(on(day), 1, False, False) for day in (2, 3, 4, 5)]


def test_a_code_that_ends_within_an_offer_of_the_day_is_not_left(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.codes("winback_discount10", ["T10-1", "T10-2", "T10-3"])
    end = "update raw.coupon_codes set expires_at = %s where code = %s"
    reports.execute(end, [at(18, 0), "T10-2"])  # an offer of the 3rd is good until that midnight
    for day in (2, 3, 4):
        it.run(on(day))
    query = (
        "select as_of, loaded, codes_left, runs_dry_on, is_low, is_dry from reports.rpt_coupons"
        " where promotion = 'winback_discount10' order by 1"
    )
    assert select(query) == [
        (on(2), 3, 3, None, False, False),
        (on(3), 3, 3, None, False, False),
        (on(4), 3, 2, None, False, False),
    ]
    for code in ("T10-1", "T10-3"):
        reports.execute(end, [at(18, 23, 59), code])
    assert select(query) == [
        (on(2), 3, 3, on(3), True, False),
        (on(3), 3, 3, on(3), True, False),
        (on(4), 3, 0, None, True, True),
    ]


def test_a_pool_of_which_most_codes_end_runs_dry_when_the_others_are_used(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.codes("winback_discount10", [f"T10-{number:02}" for number in range(1, 26)])
    reports.execute("update raw.coupon_codes set expires_at = %s where code > 'T10-03'", [at(20, 0)])
    it.contact("ann")
    it.run(on(2))
    it.grant("winback_discount10", "T10-01", "ann", "day60", on(2))
    query = "select codes_left, runway_days, runs_dry_on, is_low from reports.rpt_coupons where promotion = %s"
    # On the 5th the last offer with one that ends; of the two that do not, one is used a day.
    assert select(query, "winback_discount10") == [(24, 5, on(7), True)]
