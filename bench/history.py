"""A synthetic shop of any age: the same orders every day, however long it has been going.

A contact comes, orders ten times within sixty days, and is gone for good: a shop ten times as old has ten times the
orders and ten times the contacts, nearly all of them long away, while each day brings the same number of orders and of
people quiet for 30, 60 and 90 days. All of it is set-based SQL over `generate_series` and `hashint8extended`: no
randomness, the same rows every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import psycopg

from bench.measure import say

ZONE = ZoneInfo("America/New_York")
LAST_DAY = date(2026, 9, 1)
"""The first day that is built: history ends at its start."""
ORDERS_EACH, ACTIVE_DAYS = 10, 60
PRODUCTS = 2_000
GROWING = ("contacts", "orders", "order_items", "site_visits", "web_push_subscriptions")
CODES = 100_000
"""Left in each promotion's pool: the same in every history; an older shop has used more."""


@dataclass(frozen=True)
class History:
    """`days` of history before `LAST_DAY` at `daily` orders a day."""

    days: int
    daily: int

    @property
    def arrivals(self) -> int:
        """New contacts a day."""
        return self.daily // ORDERS_EACH


def start_of(day: date) -> datetime:
    """The instant at which the day begins in the shop's zone."""
    return datetime.combine(day, time(), ZONE)


def fill(url: str, history: History) -> None:
    """Fills an empty migrated warehouse with the shop's whole past, and vouches for it."""
    first = LAST_DAY - timedelta(days=history.days)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set synchronous_commit = off")
        connection.execute("set work_mem = '256MB'")
        connection.execute("set maintenance_work_mem = '512MB'")
        say(f"a shop {history.days} days old with {history.daily:,} orders a day")
        _products(connection)
        with without_indexes(connection, *(f"raw.{table}" for table in GROWING)):
            arrive(connection, history, first - timedelta(days=ACTIVE_DAYS), LAST_DAY)
            order(connection, history, first, LAST_DAY)
        vouch(connection, LAST_DAY)


def settle(url: str) -> None:
    """What autovacuum would have done by now, and nothing left to write."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")


def next_day(url: str, history: History, day: date) -> None:
    """The day passes: contacts arrive, orders come in, a few older orders are refunded; the load vouches for it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        arrive(connection, history, day, day + timedelta(days=1))
        order(connection, history, day, day + timedelta(days=1))
        connection.execute(
            "update raw.orders set status = 'refunded', refunded_total = total,"
            " updated_at = %(end)s - interval '3 hours'"
            " where ordered_at >= %(start)s - interval '5 days' and ordered_at < %(start)s - interval '4 days'"
            " and hashtext(order_id) %% 1000 = 0",
            {"start": start_of(day), "end": start_of(day + timedelta(days=1))},
        )
        vouch(connection, day + timedelta(days=1))
        for table in GROWING:
            connection.execute(f"analyze raw.{table}")
        connection.execute("checkpoint")


_CONTACTS = """
with arrived as (
    select n as contact,
        %(start)s::timestamptz + interval '1 day' * ((n - %(from)s)::float8 / %(arrivals)s) as arrived_at
    from generate_series(%(from)s::bigint, %(to)s::bigint - 1) n
)
"""


def arrive(connection: psycopg.Connection, history: History, since: date, until: date) -> None:
    """The contacts that come in [since, until). No area code begins with 0: their phones reach nobody."""
    bounds = _bounds(history, since, until)
    connection.execute(
        f"""
        {_CONTACTS}
        insert into raw.contacts (
            contact_id, email, phone, first_name, country, region, timezone, consent_email, consent_email_at,
            consent_email_source, consent_email_text_version, consent_sms, consent_sms_at, consent_sms_source,
            consent_sms_text_version, created_at, updated_at
        )
        select contact::text, 'c' || contact || '@example.com', '+10' || lpad(contact::text, 9, '0'),
            'Sam', 'US', 'NY', 'America/New_York',
            hashint8extended(contact, 1) %% 100 > -70, arrived_at, 'checkout', 'v1',
            hashint8extended(contact, 2) %% 100 > 10, arrived_at, 'checkout', 'v1', arrived_at, arrived_at
        from arrived
        order by contact
        """,
        bounds,
    )
    connection.execute(
        f"""
        {_CONTACTS}
        insert into raw.web_push_subscriptions (endpoint, contact_id, p256dh, auth, subscribed_at)
        select 'https://push.example.com/' || contact, contact::text, 'BPk', 'auth', arrived_at
        from arrived where contact %% 3 = 0
        order by contact
        """,
        bounds,
    )


def order(connection: psycopg.Connection, history: History, since: date, until: date) -> None:
    """The orders placed in [since, until), two lines each, and the visits that went before some of them."""
    bounds = {
        **_bounds(history, since - timedelta(days=ACTIVE_DAYS), until),
        "since": start_of(since),
        "until": start_of(until),
        "each": ORDERS_EACH,
        "active": ACTIVE_DAYS,
        "products": PRODUCTS,
    }
    connection.execute(
        f"""
        create temporary table placed as
        {_CONTACTS}
        select contact, number, arrived_at + interval '1 day' * (
                %(active)s * (hashint8extended(contact, number) & 2147483647)::float8 / 2147483648
            ) as ordered_at
        from arrived, generate_series(1, %(each)s) number
        """,
        bounds,
    )
    connection.execute("delete from placed where ordered_at < %(since)s or ordered_at >= %(until)s", bounds)
    connection.execute(
        """
        insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)
        select 'o' || contact || '-' || number, contact::text, ordered_at,
            case when hashint8extended(contact, 100 + number) % 200 = 0 then 'cancelled' else 'completed' end,
            10 + (hashint8extended(contact, 200 + number) & 4095) / 100.0, 'USD', ordered_at
        from placed
        order by ordered_at
        """
    )
    connection.execute(
        """
        insert into raw.order_items (order_id, line_number, product_id, quantity, unit_price)
        select 'o' || contact || '-' || number, line,
            'p' || floor(%(products)s * power((hashint8extended(contact * 10 + number, line) & 65535) / 65536.0, 2)),
            1, 5
        from placed, generate_series(1, 2) line
        order by ordered_at
        """,
        bounds,
    )
    connection.execute(
        """
        insert into raw.site_visits (visit_id, contact_id, visited_at)
        select 'v' || contact || '-' || number, contact::text, ordered_at - interval '1 hour'
        from placed where number = 1 order by ordered_at
        """
    )
    connection.execute("drop table placed")


def vouch(connection: psycopg.Connection, until: date) -> None:
    """Every table is complete up to the start of `until`."""
    connection.execute(
        "insert into raw.loads (table_name, complete_through)"
        " select tablename, %s from pg_tables where schemaname = 'raw' and tablename <> 'loads'"
        " on conflict (table_name) do update set complete_through = excluded.complete_through",
        [start_of(until)],
    )


def _bounds(history: History, since: date, until: date) -> dict[str, object]:
    """Contacts are numbered by arrival since the year 2000: the same ones come on the same day in every history."""
    epoch = date(2000, 1, 1)
    return {
        "from": (since - epoch).days * history.arrivals,
        "to": (until - epoch).days * history.arrivals,
        "arrivals": history.arrivals,
        "start": start_of(since),
    }


def _products(connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into raw.products"
        " (product_id, name, category, price, image_url, product_url, in_stock, launched_at, updated_at)"
        " select 'p' || n, 'Product ' || n, 'Category ' || n %% 50, 5 + n %% 40,"
        " 'https://assets.shop.example.com/products/' || n, 'https://shop.example.com/products/' || n, n %% 20 > 0,"
        " '2000-01-01', '2000-01-01' from generate_series(0, %s) n",
        [PRODUCTS - 1],
    )


@contextmanager
def without_indexes(connection: psycopg.Connection, *tables: str) -> Iterator[None]:
    """Drops the tables' keys and indexes for the block and makes the same ones again: rows first, order later."""
    names = list(tables)
    keys = connection.execute(
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
        " where (conrelid = any(%(names)s::regclass[]) and contype in ('p', 'u', 'x'))"
        " or (confrelid = any(%(names)s::regclass[]) and contype = 'f') order by contype = 'f', contype = 'x'",
        {"names": names},
    ).fetchall()
    for table, name, _ in reversed(keys):
        connection.execute(f"alter table {table} drop constraint {name}")
    indexes = connection.execute(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index"
        " where indrelid = any(%s::regclass[])",
        [names],
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"drop index {name}")
    yield
    for _, definition in indexes:
        connection.execute(definition)
    for table, name, definition in keys:
        connection.execute(f"alter table {table} add constraint {name} {definition}")
