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


def free(connection: psycopg.Connection[Any]) -> dict[str, tuple[int, int]]:
    """The codes that are kept as free -> which reading they come from, and the latest that took the whole pool."""
    rows = connection.execute(
        "select kept.code, kept.reading, pool.whole_reading from allocations.int_free_codes kept"
        " join allocations.int_free_codes pool on pool.promotion = kept.promotion and pool.code is null"
        " where kept.code is not null"
    ).fetchall()
    connection.commit()
    return {code.removeprefix(f"{PROMOTION}-"): (reading, whole) for code, reading, whole in rows}


def test_new_and_released_codes_are_added_to_what_is_kept_and_any_other_change_reads_the_pool_whole(
    warehouse: str,
) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute("set timezone = 'UTC'")
        days.contact(connection, "away")
        days.order(connection, "o-away", "away", days.at("2017-08-02"))
        days.codes(connection, PROMOTION, 2)
        for held in ("001", "003"):
            days.insert(
                connection, "outbox.coupon_grant", promotion=PROMOTION, code=f"{PROMOTION}-{held}", contact_id=held,
                campaign="winback", episode_on="2017-05-01", step="day60", as_of="2017-07-01",
                granted_at=days.at("2017-07-01"), valid_until=days.at("2017-07-15"),
            )  # fmt: skip
        assert proposed(connection) == [f"{PROMOTION}-002"]
        assert free(connection) == {"002": (1, 1)}

        days.codes(connection, PROMOTION, 2, first=3)
        connection.execute("update raw.coupon_codes set loaded_at = %s where code ~ '00[34]'", [days.at("2017-09-30")])
        assert proposed(connection) == [f"{PROMOTION}-002"]
        assert free(connection) == {"002": (1, 1), "004": (2, 1)}, "what was there is not read again"

        connection.execute("update outbox.coupon_grant set released_at = %s", [days.at("2017-09-30")])
        assert proposed(connection) == [f"{PROMOTION}-001"]
        assert free(connection) == {"001": (3, 1), "002": (1, 1), "003": (3, 1), "004": (2, 1)}

        connection.execute("delete from raw.coupon_codes where code like '%%-001'")
        days.codes(connection, PROMOTION, 1, first=5)
        connection.execute(
            "update raw.coupon_codes set loaded_at = %s where code ~ '005'", [days.at("2017-09-30", "13:00")]
        )
        assert proposed(connection) == [f"{PROMOTION}-002"]
        assert free(connection) == dict.fromkeys(("002", "003", "004", "005"), (4, 4))
        markers = connection.execute("select count(*) from allocations.int_free_codes where code is null").fetchone()
        assert markers == (1,)
