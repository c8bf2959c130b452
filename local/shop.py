"""The simulated shop of the demo: what customers do between two runs, written into `raw` at a simulated time.

Everything it writes is made up and says so: its order ids begin with `sim-`. Real purchases come from the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import psycopg

from local.codes import add, generate
from local.seed import digest
from warehouse.errors import WinbackError

ORDER_PREFIX = "sim-"
_TOTALS = tuple(Decimal(cents) / 100 for cents in (1849, 2310, 2795, 3160, 3742, 4415, 5280, 6125))


@dataclass(frozen=True)
class Order:
    """One made-up order."""

    order_id: str
    contact_id: str
    ordered_at: datetime
    total: Decimal
    coupon_code: str | None


def purchase(
    connection: psycopg.Connection,
    contact_id: str,
    at: datetime,
    *,
    coupon_code: str | None = None,
    discount_percent: int = 0,
) -> Order:
    """The contact buys what they bought before, at `at` (aware). The caller commits; the same call twice is one order.

    Raises `WinbackError` for a contact that `raw.contacts` does not have.
    """
    if connection.execute("select 1 from raw.contacts where contact_id = %s", [contact_id]).fetchone() is None:
        raise WinbackError(f"raw.contacts has no contact {contact_id!r}: nobody can buy as them. Nothing was written.")
    name = digest("simulated order", contact_id, at.isoformat(), coupon_code)
    total = (_TOTALS[name[0] % len(_TOTALS)] * (100 - discount_percent) / 100).quantize(Decimal("0.01"))
    order = Order(f"{ORDER_PREFIX}{name.hex()[:16]}", contact_id, at, total, coupon_code)
    added = connection.execute(
        "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, coupon_code, updated_at)"
        " values (%s, %s, %s, 'completed', %s, 'USD', %s, %s) on conflict (order_id) do nothing",
        [order.order_id, contact_id, at, total, coupon_code, at],
    ).rowcount
    if added:
        _lines(connection, order)
    return order


def _lines(connection: psycopg.Connection, order: Order) -> None:
    """Up to three products of the contact's own past; for one without a past the order has no lines."""
    connection.execute(
        """
        with favourites as (
            select i.product_id, row_number() over (order by count(*) desc, i.product_id) as line_number
            from raw.orders o join raw.order_items i using (order_id)
            where o.contact_id = %(contact)s and o.ordered_at < %(at)s
            group by i.product_id
            order by line_number
            limit 3
        )
        insert into raw.order_items (order_id, line_number, product_id, quantity, unit_price)
        select %(order)s, line_number, product_id, 1, round(%(total)s::numeric / count(*) over (), 4)
        from favourites
        """,
        {"contact": order.contact_id, "at": order.ordered_at, "order": order.order_id, "total": order.total},
    )


def cancel(connection: psycopg.Connection, order_id: str, at: datetime) -> None:
    """The order is cancelled at `at`. Raises `WinbackError` for an order that the simulated shop did not write."""
    changed = connection.execute(
        "update raw.orders set status = 'cancelled', updated_at = %s where order_id = %s and order_id like %s",
        [at, order_id, f"{ORDER_PREFIX}%"],
    ).rowcount
    if not changed:
        raise WinbackError(f"The order {order_id!r} was not made by the simulated shop: it stays as it is.")


def redeem(connection: psycopg.Connection, contact_id: str, code: str, at: datetime, *, percent: int) -> Order:
    """The contact uses a code they were granted, `percent` off. Raises `WinbackError` when no pool has the code."""
    if connection.execute("select 1 from raw.coupon_codes where code = %s", [code]).fetchone() is None:
        raise WinbackError(
            f"No pool in raw.coupon_codes has the code {code!r}: it cannot be redeemed. Nothing was written."
        )
    return purchase(connection, contact_id, at, coupon_code=code, discount_percent=percent)


def refill(connection: psycopg.Connection, promotion: str, count: int, at: datetime) -> Sequence[str]:
    """A marketer adds `count` new codes to the promotion's pool at `at`; returns them. The caller commits."""
    codes = generate(promotion, count)
    add(connection, promotion, codes, loaded_at=at)
    return codes
