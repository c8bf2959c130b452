"""What happens to a pool between two builds shows in the next one's proposals, whatever was kept from the last."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.integration import dbt_days as days

PROMOTION = "winback_discount10"


def proposed(connection: psycopg.Connection[Any]) -> list[str]:
    """The codes that a build of the day proposes, one of three of the pool being enough."""
    days.begin(connection, "2017-10-01")
    days.build("--select", "+coupon_allocations", "int_decisions", "--indirect-selection=empty")
    rows = connection.execute("select code from allocations.coupon_allocations order by code").fetchall()
    connection.commit()
    return [code for (code,) in rows]


def test_codes_that_were_exchanged_or_given_another_end_are_not_proposed_from_memory(warehouse: str) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute("set timezone = 'UTC'")
        days.contact(connection, "away")
        days.order(connection, "o-away", "away", days.at("2017-08-02"))
        days.codes(connection, PROMOTION, 3)
        assert proposed(connection) == [f"{PROMOTION}-001"]

        connection.execute("update raw.coupon_codes set code = replace(code, '-00', '-new-')")
        assert proposed(connection) == [f"{PROMOTION}-new-1"]

        connection.execute(
            "update raw.coupon_codes set expires_at = %s where code like '%%-1'", [days.at("2017-10-02")]
        )
        assert proposed(connection) == [f"{PROMOTION}-new-2"]

        connection.execute("update raw.coupon_codes set promotion = 'another_one'")
        assert proposed(connection) == []
        held = connection.execute("select distinct decision, reasons[1] from cohorts.int_decisions").fetchall()
        assert held == [("hold", "pool_dry")]
