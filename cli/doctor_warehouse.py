"""What `winback doctor` asks of the campaign files and of the warehouse."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

from cli import context, raw_contract, ready
from cli.checkup import Line, failed, ok, warning
from warehouse import connections, migrate, settings
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

CONNECT_SECONDS, STATEMENT_SECONDS = "10", 20
MIGRATE = "Run `winback db migrate`."
SCHEDULE_ZONE, SCHEDULE_ZONE_OTHERWISE = "WINBACK_TIMEZONE", "America/New_York"
"""The zone that the DAG files go by (they import nothing of ours, and read no campaign)."""

REPORT_DAYS = 7
_REPORTS = """
select count(*), count(*) filter (where not is_ours)
from events.report_origin
where received_at > now() - make_interval(days => %s)
"""
_RIGHTS = """
select wrong from (values
    ('winback_sender may not write messages', not (
        has_table_privilege('winback_sender', 'outbox.message', 'insert')
        and has_table_privilege('winback_sender', 'outbox.message', 'update'))),
    ('winback_webhook may not write events',
        not has_table_privilege('winback_webhook', 'events.webhook_call', 'insert')),
    ('winback_analyst may not read the ledger', not has_table_privilege('winback_analyst', 'outbox.message', 'select')),
    ('winback_dbt may not read the ledger', not has_table_privilege('winback_dbt', 'outbox.message', 'select')),
    ('winback_analyst may read addresses', coalesce(
        has_table_privilege('winback_analyst', to_regclass('handoff.recipients'), 'select'), false))
) as asked (wrong, holds)
where holds
"""


def campaigns() -> Iterator[Line]:
    """The files, and in which mode each campaign is."""
    from campaigns import definition

    bundle = definition.load_all(settings.read().campaigns)
    for name, found in bundle.campaigns.items():
        document = found.document()
        mode, since = document["mode"], document.get("live_from")
        words = f"{name} is valid, mode {mode}{f', live from {since}' if since else ''}"
        if not document.get("enabled", True):
            yield warning("campaigns", f"{words}, and switched off (enabled: false)")
        elif mode == "shadow":
            yield ok("campaigns", f"{words}: it decides and reports, and sends nothing")
        else:
            yield ok("campaigns", words)
    zone, schedule = bundle.timezone, os.environ.get(SCHEDULE_ZONE) or SCHEDULE_ZONE_OTHERWISE
    if zone == schedule:
        yield ok("time zone", f"campaigns and schedule go by {zone}")
    else:
        said = "says" if os.environ.get(SCHEDULE_ZONE) else "is not set here, so the DAGs take"
        yield warning(
            "time zone",
            f"the campaigns' days begin in {zone}; {SCHEDULE_ZONE} {said} {schedule}",
            f"Set {SCHEDULE_ZONE}={zone} in Airflow's environment and in this one, or correct timezone in the campaign "
            "files: a run would otherwise take the day before or after for its own.",
        )


def warehouse() -> Iterator[Line]:
    """Server, schemas, roles, then the raw tables and how fresh they are. Raises `WinbackError` where none answers."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", CONNECT_SECONDS)  # libpq waits for ever otherwise
    given = bool(os.environ.get("WINBACK_DATABASE_URL") or connections.find(connections.WAREHOUSE))
    context.use_warehouse()
    with connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(f"set statement_timeout = '{STATEMENT_SECONDS}s'")
        version = connection.info.server_version
        yield ok("warehouse", f"reached; PostgreSQL {version // 10000}.{version % 10000} (15 or newer is needed)")
        if not given:
            yield warning(
                "warehouse",
                "it is the embedded server on this machine",
                "Set WINBACK_DATABASE_URL to your own server before you go live.",
            )
        missing, edited = migrate.pending(connection)
        if edited:
            yield failed(
                "migrations",
                f"edited after they were applied here: {', '.join(edited)}",
                "Restore the files; write a change as a new one.",
            )
        if missing:
            yield failed("migrations", f"{len(missing)} not applied yet, the first of them {missing[0]}", MIGRATE)
            yield warning("raw tables", "not checked before the migrations are applied")
            return
        if not edited:
            yield ok("migrations", "up to date")
        yield from _roles(connection)
        yield _reports(connection)
    yield from _raw_tables()


def _roles(connection: psycopg.Connection) -> Iterator[Line]:
    wrong = []
    for role in (role for role in Role if role is not Role.OWNER):
        try:
            connect(role).close()
        except WinbackError as error:
            wrong.append(" ".join(str(error).split()))
    wrong += [name for (name,) in connection.execute(_RIGHTS)]
    for problem in wrong:
        yield failed("roles", problem, f"{MIGRATE} The login must be a member of all four roles.")
    if not wrong:
        yield ok("roles", "all four are there and may do their part")


def _reports(connection: psycopg.Connection) -> Line:
    """Whether providers report messages that this ledger knows. Kept, those that it does not know count for nobody."""
    try:
        ((events, unknown),) = connection.execute(_REPORTS, [REPORT_DAYS]).fetchall()
    except psycopg.errors.QueryCanceled:
        return warning("reports", f"not counted within {STATEMENT_SECONDS} seconds: there are too many of them")
    told = f"{events:,} events of the last {REPORT_DAYS} days" if events else f"events in the last {REPORT_DAYS} days"
    if not unknown:
        return ok("reports", f"{told}, each of a message in this ledger" if events else f"no {told} yet")
    return warning(
        "reports",
        f"{unknown:,} of {told} are of no message in this ledger: kept, and counted for nobody",
        "Other mail of the same account and `winback send-test` are such. Otherwise see that this service writes to the"
        " database that sends: `select * from events.report_origin where not is_ours`.",
    )


def _raw_tables() -> Iterator[Line]:
    where = raw_contract.tables()
    with connect(Role.DBT, autocommit=True) as connection:
        connection.execute(f"set statement_timeout = '{STATEMENT_SECONDS}s'")
        problems = raw_contract.missing(connection, where)
        for problem in problems:
            yield failed("raw tables", problem, "docs/BRING_YOUR_DATA.md says what goes into each column.")
        if problems:
            return
        yield ok("raw tables", f"all {len(where)} are there with their columns")
        for table, words in raw_contract.empty(connection, where).items():
            yield warning("raw tables", f"{table} is empty: {words}")
    yield from _freshness()


def _freshness() -> Iterator[Line]:
    """Yesterday's day must be vouched for; today's may still be loading."""
    from campaigns import definition

    zone = ZoneInfo(definition.load_all(settings.read().campaigns).timezone)
    today = datetime.now(zone).date()
    behind = ready.loads_behind(ready.start_of(today - timedelta(days=1)))
    for sentence in behind:
        yield failed("fresh data", sentence)
    if behind:
        return
    late = ready.loads_behind(ready.start_of(today))
    if late:
        yield warning("fresh data", f"today's run would still have to wait: {late[0]}")
    else:
        yield ok("fresh data", f"the loads reach up to the beginning of {today} ({zone})")
