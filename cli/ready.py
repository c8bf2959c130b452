"""`winback ready`: may this day be run? Files, tables and loads, before anything is built."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as wall_time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import days
from warehouse import clock
from warehouse.errors import NOT_YET, WinbackError

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

POLL_SECONDS = 15
VOUCHED = ("orders", "contacts", "engagements")
"""The tables whose loads must be complete up to the start of the day."""
LATELY = timedelta(days=7)
"""How far before the last run orders are looked through: a daily run does not pay for the whole history."""
NEWEST_ROW = timedelta(hours=24)
"""Without `raw.loads`: how long before the start of the day the newest order may have been written."""


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def ready(
        as_of: Annotated[datetime, typer.Option(parser=days.day, metavar="YYYY-MM-DD", help="The day, 2017-10-01.")],
        wait: Annotated[int, typer.Option(min=0, help="How many seconds to wait for the loads.")] = 0,
    ) -> None:
        """Check that a day can be run: campaign files, tables and columns, loads complete up to its start.

        Exits 75 when the loads are behind (try again later), 1 when something has to be mended. Changes nothing.
        """
        from cli import context

        day, began = as_of.date(), time.monotonic()
        start = start_of(day)
        check_connections()
        context.use_warehouse()
        without = check_tables(start)
        enqueued = check_day(day, start)
        short = check_rows(day, start)
        check_range(day, start)
        strangers = unknown_contacts(start)
        for table, words in without.items():
            typer.echo(f"{table} is empty: {words}.")
        for sentence in short:
            typer.echo(sentence)
        if strangers:
            typer.echo(strangers.words())
        if enqueued:
            typer.echo(f"{day} was run before: what was decided, granted or sent stays, and nothing is done twice.")
        while behind := loads_behind(start):
            left = wait - (time.monotonic() - began)
            if left <= 0:
                sys.stdout.flush()
                sys.stderr.write(f"winback: {day} cannot be run yet. Nothing was decided and nothing was sent.\n")
                sys.stderr.write("".join(f"  {line}\n" for line in behind))
                raise typer.Exit(NOT_YET)
            typer.echo(f"Waiting ({left:.0f} s left): {behind[0]}")
            time.sleep(min(POLL_SECONDS, left))
        typer.echo(f"{day} can be run.")
        context.result(
            {
                "as_of": day,
                "enqueued_before": enqueued,
                "empty_tables": sorted(without),
                "unknown_contacts": strangers.contacts if strangers else 0,
            }
        )


def start_of(day: date) -> datetime:
    """When the day begins in the campaigns' zone. Raises `WinbackError` naming all that is wrong in their files."""
    from campaigns import definition
    from warehouse import settings
    from warehouse.clock import local_time

    return local_time(day, wall_time(), definition.load_all(settings.read().campaigns).timezone)


def check_connections() -> None:
    """Raises `Misconfigured` when a connection is given that cannot be read."""
    from warehouse import connections

    for conn_id in (*connections.SENDERS, connections.ALERTS, connections.WAREHOUSE):
        connections.find(conn_id)


def _tables() -> Mapping[str, tuple[str, str]]:
    from cli import raw_contract

    return raw_contract.tables()


def check_tables(start: datetime) -> Mapping[str, str]:
    """The empty optional tables and what is done without them.

    Raises `WinbackError` naming everything that is missing or of another type, keys that are there more than
    once, and nulls where nothing can be done without a value.
    """
    from cli import raw_contract, raw_rows
    from warehouse.connect import Role, transaction

    where = raw_contract.tables()
    with transaction(Role.DBT) as connection:
        if problems := raw_contract.missing(connection, where):
            raise WinbackError(
                "The warehouse does not hold what a run needs. Nothing was decided and nothing was sent.\n"
                + "".join(f"  {problem}\n" for problem in problems)
                + "`winback db migrate` makes tables that are missing in the schema raw; docs/BRING_YOUR_DATA.md says "
                "what goes into each column, and what else there is to do for tables of other names."
            )
        since = _last_run(connection, start)
        problems = raw_rows.repeated(connection, where, start - LATELY, since)
        problems += raw_rows.unfilled(connection, where, since)
        if problems:
            raise WinbackError(
                "Rows of the warehouse cannot be told apart or lack what a run goes by. Nothing was decided and "
                "nothing was sent.\n"
                + "".join(f"  {problem}\n" for problem in problems)
                + "docs/BRING_YOUR_DATA.md says what a row of each table is."
            )
        return raw_contract.empty(connection, where)


def check_rows(day: date, start: datetime) -> list[str]:
    """A sentence for each step that lacks products and each promotion whose codes come too late.

    Raises `WinbackError` for rows that would decide the wrong way.
    """
    from campaigns import definition
    from cli import context, shop_data
    from warehouse import settings
    from warehouse.connect import Role, transaction

    where = _tables()
    with transaction(Role.DBT) as connection:
        if problems := shop_data.refused(connection, where, *_unseen(connection, start)):
            raise WinbackError(
                "A run cannot go by what these tables say. Nothing was decided and nothing was sent.\n"
                + "".join(f"  {problem}\n" for problem in problems)
                + "docs/BRING_YOUR_DATA.md says what is expected of each table."
            )
        bundle = definition.load_all(settings.read().campaigns)
        now = _one(connection, "select clock_timestamp()")
        run_at = clock.local_time(day, wall_time.fromisoformat(bundle.build_at), bundle.timezone)
        return [
            *shop_data.short_shelves(connection, where, bundle, start),
            *shop_data.codes_to_come(connection, where, bundle, now if context.is_live() else run_at),
        ]


def _last_run(connection: Connection, start: datetime) -> datetime | None:
    """From when on rows may be new to every run: `LATELY` before the last one's clock. None before the first run."""
    clock_of_last = _one(connection, "select max(clock) from outbox.run where state = 'enqueued' and clock < %s", start)
    return clock_of_last - LATELY if clock_of_last else None


def _unseen(connection: Connection, start: datetime) -> tuple[datetime | None, datetime]:
    """When orders that the day's run sees and no run before it was written: from (None: since ever) and before when. A
    day that is run late sees what was written until now."""
    morning = start + timedelta(days=1)
    now = _one(connection, "select clock_timestamp()")
    return _last_run(connection, start), max(morning, now) if now < start + LATELY else morning


def check_day(day: date, start: datetime) -> bool:
    """Whether the day was enqueued before. Raises `WinbackError` when it has not begun yet."""
    from warehouse.connect import Role, transaction

    with transaction(Role.DBT) as connection:
        now = _one(connection, "select clock_timestamp()")
        if now < start:
            raise WinbackError(
                f"{day} lies in the future: it begins at {_minute(start)} and it is {_minute(now)}. "
                "A day is run once it has begun. Nothing was decided and nothing was sent."
            )
        return bool(
            _one(
                connection,
                "select exists (select from outbox.run_day join outbox.run using (run_id)"
                " where as_of = %s and state = 'enqueued')",
                day,
            )
        )


def check_range(day: date, start: datetime) -> None:
    """Raises `WinbackError` for a day before the first order: nobody can have gone quiet yet."""
    from warehouse.connect import Role, transaction

    orders = _tables()["orders"]
    with transaction(Role.DBT) as connection:
        if _one(connection, _from("select exists (select from {} where ordered_at < %s)", orders), start):
            return
        possible = (
            "select min(ordered_at), max(ordered_at) from {} where ordered_at between '0001-01-02' and '9999-12-30'"
        )
        found = connection.execute(_from(possible, orders)).fetchone()
    if found is None or found[0] is None:
        return  # no order at all: loads_behind says whether that is vouched for
    raise WinbackError(
        f"{day} lies before all data: {'.'.join(orders)} holds orders from {_minute(found[0])} to {_minute(found[1])}, "
        "so nobody can have gone quiet by then. Run a day after the first order. Nothing was decided and nothing was "
        "sent."
    )


@dataclass(frozen=True)
class Strangers:
    """Contacts that have orders and are in no row of `raw.contacts`."""

    among: str
    """Which orders were looked at, for a sentence."""
    contacts: int
    example: str
    order_id: str
    """An order of the example."""
    orders: str
    people: str
    """What the two tables are called."""

    def words(self) -> str:
        """How many, one of them, and what to do."""
        who = f"{self.example!r} (order {self.order_id!r})"
        one = f"1 contact, {who}, has some and is"
        several = f"{self.contacts:,} contacts, such as {who}, have some and are"
        return (
            f"{self.among} in {self.orders}: {one if self.contacts == 1 else several} not in "
            f"{self.people}. Nothing is sent to a contact that is not there: load them, or correct contact_id of the "
            "orders."
        )


def unknown_contacts(start: datetime) -> Strangers | None:
    """Who bought and is unknown: before the first run among all orders, then among those written since `LATELY` before
    the last one. None: nobody."""
    from psycopg import sql

    from warehouse.connect import Role, transaction

    where = _tables()
    query = sql.SQL(
        "select count(distinct contact_id), min(contact_id::text),"
        " (array_agg(order_id::text order by contact_id::text, order_id))[1]"
        " from {orders} o where {written}"
        " and not exists (select from {people} c where c.contact_id = o.contact_id)"
    )
    tables = {"orders": sql.Identifier(*where["orders"]), "people": sql.Identifier(*where["contacts"])}
    with transaction(Role.DBT) as connection:
        since, before = _unseen(connection, start)
        written = sql.SQL("true" if since is None else "updated_at >= %(since)s and updated_at < %(before)s")
        found = connection.execute(
            query.format(**tables, written=written), {"since": since, "before": before}
        ).fetchone()
    if not found or not found[0]:
        return None
    contacts, example, order_id = found
    among = "Orders" if since is None else f"Orders written since {since:%Y-%m-%d}"
    return Strangers(among, contacts, example, order_id, ".".join(where["orders"]), ".".join(where["contacts"]))


def loads_behind(needed: datetime) -> list[str]:
    """One sentence for each table whose load does not reach `needed`; empty when the day can be run.

    Where `raw.loads` has no row at all, the newest order's age is taken instead.
    """
    from warehouse.connect import Role, transaction

    where = _tables()
    with transaction(Role.DBT) as connection:
        # Compared here: a time that Python has no word for (infinity, a year of five digits) is one all the same.
        query = _from(
            "select table_name, complete_through >= %s, case when isfinite(complete_through)"
            " then to_char(complete_through, 'YYYY-MM-DD HH24:MI \"UTC\"') else complete_through::text end from {}",
            where["loads"],
        )
        through = {table: (reaches, shown) for table, reaches, shown in connection.execute(query, [needed])}
        if not through:
            return _old_orders(connection, where["orders"], needed)
        loads, behind = ".".join(where["loads"]), []
        for table in VOUCHED:
            reaches, shown = through.get(table, (None, None))
            if reaches:
                continue
            if reaches is not None:
                behind.append(
                    f"{table} is complete up to {shown}, needed is {_minute(needed)}: finish the load and update "
                    f"{loads}."
                )
            elif table in through:
                behind.append(
                    f"{loads} has no complete_through for {table}: let its loader write up to when it is complete."
                )
            elif _one(connection, _from("select exists (select from {})", where[table])):
                behind.append(
                    f"{loads} says nothing about {table}: let its loader write up to when it is complete there."
                )
        return behind


def _old_orders(connection: Connection, orders: tuple[str, str], needed: datetime) -> list[str]:
    """A row that says it was written in the future vouches for nothing: the database's own present ends the look."""
    query = "select max(updated_at) from {} where updated_at > '0001-01-02' and updated_at <= statement_timestamp()"
    newest, name = _one(connection, _from(query, orders)), ".".join(orders)
    if newest is None:
        if _one(connection, _from("select exists (select from {})", orders)):
            return [f"{name} has no row that was written before now: let updated_at say when a row was written."]
        return [f"{name} is empty: load the orders first."]
    if newest >= needed - NEWEST_ROW:
        return []
    return [
        f"the newest row of {name} is of {_minute(newest)}, more than "
        f"{NEWEST_ROW.total_seconds() / 3600:.0f} hours before the day begins: load the orders, or let the loader "
        "vouch for quiet days in raw.loads."
    ]


def _from(query: str, table: tuple[str, str]) -> Composed:
    from psycopg import sql

    return sql.SQL(query).format(sql.Identifier(*table))


def _one(connection: Connection, query: str | Composed, *values: object) -> Any:
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


def _minute(instant: datetime) -> str:
    return clock.shown(instant)
