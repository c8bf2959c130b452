"""What the shop's own rows say that a run cannot go by, or cannot do all of its work with (docs/BRING_YOUR_DATA.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from cli import words

if TYPE_CHECKING:
    from campaigns.definition import Bundle

STATUSES = ("completed", "cancelled", "refunded")
"""What an order's status may say. Letters' case and blanks around it do not count, nor how `cancelled` is spelt."""


def refused(
    connection: psycopg.Connection, where: Mapping[str, tuple[str, str]], since: datetime | None, before: datetime
) -> list[str]:
    """One sentence for each thing that would decide the wrong way about people; of orders those that were written in
    the interval, or all of them (`since` None: no run has looked at any)."""
    found = _nobody(connection, where["contacts"])
    return [*found, *_unknown_statuses(connection, where["orders"], since, before)]


def _nobody(connection: psycopg.Connection, contacts: tuple[str, str]) -> list[str]:
    query = sql.SQL("select exists (select from {})").format(sql.Identifier(*contacts))
    row = connection.execute(query).fetchone()
    if row and row[0]:
        return []
    return [
        f"{'.'.join(contacts)} is empty: everybody who is due would be left out for good, for nobody would be known "
        "to have agreed. Load the contacts."
    ]


def _unknown_statuses(
    connection: psycopg.Connection, orders: tuple[str, str], since: datetime | None, before: datetime
) -> list[str]:
    rows = connection.execute(
        sql.SQL(_UNKNOWN_STATUSES).format(
            table=sql.Identifier(*orders),
            written=sql.SQL("true" if since is None else "updated_at >= %(since)s and updated_at < %(before)s"),
        ),
        {"since": since, "before": before, "known": [*STATUSES, "canceled"]},
    ).fetchall()
    table, written = ".".join(orders), "" if since is None else f" written since {since:%Y-%m-%d}"
    return [
        f"{table}: {words.counted(count, 'order', 'orders')}{written}, such as {order_id!r}, "
        f"{'has' if count == 1 else 'have'} the status {status!r}. Expected is {', '.join(STATUSES[:-1])} or "
        f"{STATUSES[-1]}: whether it was a purchase decides who is written to. Let the loader, or a view, say which of "
        "them it is."
        for status, count, order_id in rows
    ]


_UNKNOWN_STATUSES = """
    select status::text, count(*), min(order_id::text)
    from {table}
    where {written}
        and lower(btrim(status::text, E' \\t\\r\\n')) <> all(%(known)s)
    group by status::text
    order by count(*) desc, status::text
    limit 5
"""


def short_shelves(
    connection: psycopg.Connection, where: Mapping[str, tuple[str, str]], bundle: Bundle, at: datetime
) -> list[str]:
    """One sentence for each step that shows more products than there are to show at that time."""
    wanted = [
        (name, step["key"], step["recommendations"])
        for name, campaign in bundle.campaigns.items()
        for step in campaign.document()["steps"]
        if campaign.document()["enabled"] and step["enabled"] and step["recommendations"]
    ]
    if not wanted:
        return []
    query = sql.SQL(_SHOWN).format(sql.Identifier(*where["products"]))
    row = connection.execute(query, {"at": at, "enough": max(number for *_, number in wanted)}).fetchone()
    shown = row[0] if row else 0
    there = words.counted(shown, "product", "products") if shown else "no product"
    return [
        f"{'.'.join(where['products'])} has {there} to show (in stock, with a name, a price, and a picture and a page "
        f"whose addresses begin with https://), and {step} of {campaign} shows {number}: its people are held until "
        "there are more, and the other steps go on."
        for campaign, step, number in wanted
        if number > shown
    ]


# As models/customers/dim_products.sql has it, and no further than enough.
_SHOWN = """
    select count(*) from (
        select from {}
        where image_url ~ '^https://[^[:space:]]+$' and product_url ~ '^https://[^[:space:]]+$'
            and btrim(name) <> '' and price > 0 and in_stock is not false
            and coalesce(launched_at <= %(at)s, true)
        limit %(enough)s
    ) as shown
"""


def codes_to_come(
    connection: psycopg.Connection, where: Mapping[str, tuple[str, str]], bundle: Bundle, clock: datetime
) -> list[str]:
    """One sentence for each promotion that has codes, but none that counts by a run's clock."""
    promotions = {
        step["promotion"]
        for campaign in bundle.campaigns.values()
        for step in campaign.document()["steps"]
        if campaign.document()["enabled"] and step["enabled"] and step["promotion"]
    }
    table, told = sql.Identifier(*where["coupon_codes"]), []
    for promotion in sorted(promotions):
        row = connection.execute(
            sql.SQL(_CODES_TO_COME).format(table), {"promotion": promotion, "clock": clock}
        ).fetchone()
        if row and row[0]:
            count, since = row
            counts = "it counts" if count == 1 else "the first of them counts"
            told.append(
                f"{promotion} has {words.counted(count, 'code', 'codes')}, and {counts} from {since} on: a run of this "
                f"day finds none. (`winback load codes` has --loaded-at; loaded_at of "
                f"{'.'.join(where['coupon_codes'])} says it.)"
            )
    return told


# The first one that counts ends the look, so a pool in use costs nothing.
_CODES_TO_COME = """
    select
        count(*),
        case
            when isfinite(min(loaded_at)) then to_char(min(loaded_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
            else min(loaded_at)::text
        end
    from {0}
    where promotion = %(promotion)s
        and not exists (select from {0} where promotion = %(promotion)s and loaded_at <= %(clock)s)
"""
