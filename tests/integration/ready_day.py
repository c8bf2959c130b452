"""A day that is asked whether it is ready, and the raw rows that it is asked of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
from typer.testing import CliRunner, Result

from cli.main import register

DAY = "2017-10-01"
START = datetime(2017, 10, 1, 4, tzinfo=UTC)
"""Midnight in New York."""


def ready(day: str = DAY, *options: str) -> Result:
    return CliRunner().invoke(register(("ready", "gate")), ["ready", "--as-of", day, *options])


def vouch(owner: psycopg.Connection, through: datetime, *tables: str) -> None:
    for table in tables or ("orders", "contacts", "engagements"):
        owner.execute(
            "insert into raw.loads values (%s, %s) on conflict (table_name) do update set complete_through ="
            " excluded.complete_through",
            [table, through],
        )


def order(owner: psycopg.Connection, at: datetime) -> None:
    owner.execute(
        "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
        " values (%s, 'c', %s, 'completed', 1, 'USD', %s)",
        [str(at), at, at],
    )


def write_order(
    owner: psycopg.Connection, order_id: str, ordered_at: datetime, updated_at: datetime, contact_id: str = "c"
) -> None:
    owner.execute("insert into raw.contacts (contact_id) values ('c') on conflict do nothing")
    owner.execute(
        "insert into raw.orders (order_id, contact_id, ordered_at, status, total, currency, updated_at)"
        " values (%s, %s, %s, 'completed', 1, 'USD', %s)",
        [order_id, contact_id, ordered_at, updated_at],
    )


def unkeyed(owner: psycopg.Connection, table: str) -> None:
    """The table as a loader of the user's own may have made it: without its key."""
    owner.execute(f"alter table raw.{table} drop constraint {table}_pkey")


def run_before(owner: psycopg.Connection) -> None:
    """A run of the day before, with its end: from now on only what is new is looked through."""
    owner.execute("insert into outbox.definition (hash, kind, body) values ('h', 'bundle', '{}')")
    owner.execute(
        "insert into outbox.run (run_id, mode, clock, target, holder, definition_hash, state, lease_until)"
        " values (gen_random_uuid(), 'live', %s, 'prod', 'test', 'h', 'building', now())",
        [START - timedelta(days=1)],
    )
    for state in ("built", "validated", "enqueued"):
        owner.execute("update outbox.run set state = %s", [state])
