"""`make demo`: the whole product on a year of real purchases, on this machine, without accounts.

Loads the sample data, runs the real DAG for six days of October 2017, lets made-up customers answer, and fails unless
everything that it promises to show was there. It ends with three doors: for marketer, analyst and data engineer.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli import words
from local import postgres
from local.promises import DRY_DAY, EVENING, FIRST_DAY, LAST_DAY, MUST_NOT, PROMISES, REFILLED_DAY
from local.sandbox.store import TEST
from warehouse import settings
from warehouse.errors import Misconfigured, WinbackError

SMALL_POOL = 22
"""Codes of winback_discount10 at the start: fewer than the first three days ask for."""
REFILL = 200

MARK = "winback demo: made-up people on real purchases; `make demo` may make this database anew"

NAMED = 3
"""How many message ids a failure names."""

console = Console(highlight=False)


def main() -> int:
    """Runs the demo. Returns 0 when everything it promises was shown, otherwise 1."""
    if settings.read().database_url:
        raise WinbackError(
            "WINBACK_DATABASE_URL is set: the demo makes its database anew and will not do that to yours. "
            "Unset it for this command. Nothing was changed."
        )
    began = time.monotonic()
    console.rule("[bold]Winback: six days of bringing customers back")
    console.print(
        "The purchases are real (the Complete Journey study, 2017); people, addresses and codes are made up, "
        "and nothing leaves this machine.\n"
    )
    with _step("Start PostgreSQL and make the warehouse"):
        url = _fresh_warehouse()
    with _step("Load a year of purchases"):
        _winback("load", "complete-journey", "--codes", f"winback_discount10={SMALL_POOL}")
    with _step(f"Run {FIRST_DAY} to {DRY_DAY} through Airflow"):
        _winback("run", "--as-of", str(FIRST_DAY), "--to", str(DRY_DAY))
    with _step("Customers buy and call, and marketing refills the dry pool"):
        _customers_redeem(url)
        _suppress_somebody(url)
        _winback(
            *("load", "codes", "winback_discount10", str(REFILL)),
            *("--loaded-at", EVENING),
        )
    with _step(f"Run {REFILLED_DAY} to {LAST_DAY} through Airflow"):
        _winback("run", "--as-of", str(REFILLED_DAY), "--to", str(LAST_DAY))
    with _step("Write the report over all days"):
        _winback("report", "--from", str(FIRST_DAY), "--to", str(LAST_DAY))
    missing = _show_promises(url)
    _show_doors(url)
    console.print(f"\nThe demo took {(time.monotonic() - began) / 60:.1f} minutes.")
    for what in missing:
        console.print(f"[bold red]Not shown:[/] {what}")
    return 1 if missing else 0


@contextmanager
def _step(title: str) -> Iterator[None]:
    began = time.monotonic()
    console.rule(f"[bold]{title}", align="left")
    yield
    console.print(f"[dim]{title}: {time.monotonic() - began:.0f} s[/]\n")


def _winback(*arguments: str) -> None:
    """One `winback` verb, its output shown. Raises `WinbackError` when it fails."""
    command = Path(sys.executable).with_name("winback")
    shown = pasteable(command, arguments)
    console.print(f"[dim]$ {escape(shown)}[/]", soft_wrap=True)
    sys.stdout.flush()
    if code := subprocess.run([str(command), *arguments], check=False).returncode:
        raise WinbackError(f"`{shown}` ended with {code}; what it said stands above.")


def pasteable(command: Path, arguments: Sequence[str]) -> str:
    """The call as a shell in this folder takes it."""
    at = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
    return shlex.join([str(at), *arguments])


def _fresh_warehouse() -> str:
    """The URL of the demo's database, made anew when an earlier demo left one. Anybody else's is refused."""
    from local.sandbox import server as sandbox

    server = postgres.ensure()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        row = connection.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = %s", [postgres.WAREHOUSE]
        ).fetchone()
        with psycopg.connect(server.url()) as warehouse:
            is_empty = warehouse.execute("select to_regclass('outbox.run') is null").fetchone() == (True,)
        if row and row[0] != MARK and not is_empty:
            raise WinbackError(
                "The embedded warehouse holds work that is not the demo's, and the demo would make it anew. Set "
                "WINBACK_LOCAL to an empty folder for this command. Nothing was changed."
            )
        _winback("sandbox", "stop")
        sandbox.forget(sandbox.instance(server.url()))  # or its inbox would hold two demos, and the ledger one
        connection.execute("drop database winback with (force)")
        connection.execute("create database winback")
        connection.execute(sql.SQL("comment on database winback is {}").format(MARK))
    _winback("db", "migrate")
    return server.url()


def _suppress_somebody(url: str) -> None:
    """Three people whose thirty days are over tomorrow ask on the phone never to be written to again."""
    rows = _query(
        url,
        """
        select o.contact_id from raw.orders o join raw.contacts c using (contact_id)
        where c.consent_email and c.email like '%%@example.com' and o.status <> 'cancelled'
        and o.ordered_at < %(day)s::timestamp at time zone 'America/New_York'
        group by o.contact_id
        having max((o.ordered_at at time zone 'America/New_York')::date) = %(day)s::date - 30
        order by o.contact_id limit 3
        """,
        day=REFILLED_DAY,
    )
    for row in rows:
        _winback("suppress", row["contact_id"], "--by", "customer service", "--at", EVENING)


def _customers_redeem(url: str) -> None:
    """Two customers with a code use it, the day after they got it."""
    from local import shop

    rows = _query(
        url,
        """
        select m.contact_id, g.code, m.accepted_at + interval '20 hours' as at
        from outbox.message m join outbox.coupon_grant g on g.id = m.coupon_grant_id
        where m.state = 'accepted' order by m.accepted_at, m.contact_id limit 2
        """,
    )
    with psycopg.connect(url) as connection:
        for row in rows:
            order = shop.redeem(connection, row["contact_id"], row["code"], row["at"], percent=10)
            console.print(f"Contact {order.contact_id} buys for {order.total} USD with the code {order.coupon_code}.")


def _query(url: str, query: str, role: str | None = None, **parameters: Any) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        if role:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        return connection.execute(query, parameters).fetchall()


def _count(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _show_promises(url: str) -> list[str]:
    """Prints what was seen and what never may be; returns what is missing."""
    table = Table("what the demo promises to show", "seen", title="Promises", title_justify="left")
    missing = []
    for promise in PROMISES:
        count = _count(url, promise.query)
        table.add_row(promise.what, str(count) if count else "[bold red]0[/]")
        missing += [] if count else [promise.what]
    for promise in MUST_NOT:
        count = _count(url, promise.query)
        table.add_row(f"{promise.what} (must be 0)", f"[bold red]{count}[/]" if count else "0")
        missing += [f"{promise.what}: {count} instead of 0"] if count else []
    differing = unlike_the_sandbox(url)
    table.add_row("messages that ledger and sandbox tell differently (must be 0)", str(len(differing)))
    missing += [told_differently(differing)] if differing else []
    console.print(table)
    return missing


def told_differently(message_ids: set[str]) -> str:
    """How many, a few of them, and where to look."""
    some = sorted(message_ids)[:NAMED]
    more = f" and {len(message_ids) - len(some)} more" if len(message_ids) > len(some) else ""
    return (
        f"ledger and sandbox tell of {words.counted(len(message_ids), 'message')} differently: "
        f"{', '.join(some)}{more}. The inbox finds a message by its id, and outbox.message has its state. "
        "Was something else sent through this sandbox meanwhile? Then `make demo` again is enough; otherwise please "
        "report it."
    )


def unlike_the_sandbox(url: str) -> set[str]:
    """The ids of messages that the providers did not take once where the ledger says accepted, and never otherwise.

    A test (`winback send-test`) is in no ledger by design, whoever sent one while the demo ran.
    """
    from local.sandbox import server

    taken = Counter(
        receipt["message_id"]
        for receipt in server.ensure().receipts()
        if receipt["message_id"] and receipt["audience"] != TEST
    )
    accepted = Counter(str(row["id"]) for row in _query(url, "select id from outbox.message where state = 'accepted'"))
    return {*(taken - accepted), *(accepted - taken)}


DOOR_QUERY = """
select as_of, step, decision, coalesce(reason, '') as reason, count(*) as contacts
from cohorts.fct_decisions where step = 'day60' group by 1, 2, 3, 4 order by 1, 5 desc, 4
"""


def _show_doors(url: str) -> None:
    from local.sandbox import server

    reports = settings.read().local / "reports"
    winback = pasteable(Path(sys.executable).with_name("winback"), [])
    console.rule("[bold]Three doors", align="left")
    console.print("[bold]Marketer.[/] The report and the inbox, in a browser:")
    console.print(f"  {reports / 'index.html'}", soft_wrap=True)
    console.print(f"  {server.ensure().inbox_url}\n", soft_wrap=True)
    console.print("[bold]Analyst.[/] A query, as the read-only role:")
    console.print(f'  {winback} db psql -c "{" ".join(DOOR_QUERY.split())}"', soft_wrap=True)
    console.print(_as_table(_query(url, DOOR_QUERY, role="winback_analyst")))
    person = _query(
        url,
        """
        select contact_id from outbox.message where step = 'day30_push' and state = 'accepted'
        order by accepted_at, contact_id limit 1
        """,
    )
    console.print(
        "\n[bold]Data engineer.[/] The Airflow runs"
        f" (`WINBACK_SCHEDULE=none {winback} airflow standalone` shows their tasks):"
    )
    console.print(_as_table(_airflow_runs(url)))
    console.print("And one contact's story:")
    if person:
        _winback("explain", person[0]["contact_id"])
    console.print("PostgreSQL, the sandbox and its webhook service go on in the background. To stop all of them:")
    console.print(f"  {winback} sandbox stop && {winback} db stop", soft_wrap=True)


def _airflow_runs(url: str) -> list[dict[str, Any]]:
    """The DAG run of each of the demo's days, its state and seconds, as Airflow's metadata has them."""
    from local import airflow

    days = _query(
        url,
        """
        select split_part(holder, ' ', 2) as run_id, min(as_of) as as_of
        from outbox.run join outbox.run_day using (run_id)
        group by run.run_id, holder order by min(run.created_at)
        """,
    )
    found = airflow.runs([day["run_id"] for day in days])
    return [
        {
            "day": day["as_of"],
            "dag run": day["run_id"],
            "state": found[day["run_id"]].state,
            "seconds": round(found[day["run_id"]].seconds),
        }
        for day in days
        if day["run_id"] in found
    ]


def _as_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(*(rows[0] if rows else ["no rows"]))
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    return table


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (WinbackError, Misconfigured) as error:
        console.print(f"[bold red]The demo stopped:[/] {error}")
        sys.exit(1)
