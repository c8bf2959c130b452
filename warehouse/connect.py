"""Connections to the warehouse, by role.

One URL, one login; each connection takes on (`SET ROLE`) the least privileged role that can do its work:

| role | may |
| --- | --- |
| `winback_dbt` | read `raw`, `outbox`, `events`; own the schemas that dbt builds |
| `winback_sender` | read `handoff` (addresses included) and a little of what it rests on, write `outbox` |
| `winback_webhook` | insert into `events`, nothing else |
| `winback_analyst` | read everything but addresses |

`tests/integration/roles.py` lists these rights table by table; what is in no list is tried, and has to be refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from warehouse.errors import Misconfigured, WinbackError

MINIMUM_SERVER_VERSION = 150000

RUN_LOCK = 7_305_001
"""Advisory lock (session or transaction): build, gate and enqueue of one run at a time."""
GRANT_LOCK = 7_305_002
"""Advisory lock (transaction): one freezing of coupon grants at a time."""
MIGRATION_LOCK = 7_305_003
"""Advisory lock (transaction): one migration at a time."""


class NoSuchRoleError(WinbackError):
    """The server took the login, and the login may not act as the role asked for: not granted, or never made."""


class Role(StrEnum):
    """The four roles, and the login itself (migrations only)."""

    DBT = "winback_dbt"
    SENDER = "winback_sender"
    WEBHOOK = "winback_webhook"
    ANALYST = "winback_analyst"
    OWNER = ""


def database_url() -> str:
    """The warehouse's URL: `WINBACK_DATABASE_URL`, which the command sets to the embedded server's when unset.

    Raises `Misconfigured` when there is none.
    """
    url = os.environ.get("WINBACK_DATABASE_URL")
    if not url:
        raise Misconfigured(
            "No warehouse: WINBACK_DATABASE_URL is not set in this process. Start through the `winback` command, "
            "which falls back to the embedded server, or set it to postgresql://user:password@host:5432/database."
        )
    return url


def without_password(url: str) -> str:
    """The URL as it may be shown: `***` for the password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(parts.username or '')}:***@{host}"))


def connect(role: Role, *, url: str | None = None, autocommit: bool = False) -> psycopg.Connection:
    """A connection that has taken on `role`, in UTC.

    Raises `NoSuchRoleError` where the role is missing (not migrated) or is not this login's, `Misconfigured` for a
    server that is too old, any other `WinbackError` where no connection came about or it broke off.
    """
    target = url or database_url()
    try:
        connection = psycopg.connect(
            target,
            autocommit=True,
            options="-c timezone=UTC",
            application_name=f"winback {role.value}".strip(),
        )
    except psycopg.ProgrammingError:
        raise Misconfigured(
            "WINBACK_DATABASE_URL is no PostgreSQL URL. It looks like postgresql://user:password@host:5432/database. "
            "Nothing was read, changed or sent."
        ) from None
    except psycopg.OperationalError as error:
        raise _refused(target, error) from error
    if connection.info.server_version < MINIMUM_SERVER_VERSION:
        connection.close()
        raise Misconfigured(
            f"The warehouse runs PostgreSQL {connection.info.server_version // 10000}; Winback needs 15 or newer."
        )
    if role is not Role.OWNER:
        try:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role.value)))
        except psycopg.OperationalError as error:
            connection.close()
            raise WinbackError(
                f"The warehouse at {without_password(target)} broke off: {' '.join(str(error).split())}\n"
                "Nothing was read, changed or sent. Try again; the server's log says why."
            ) from error
        except psycopg.Error as error:  # there is no such role, or it is not granted
            connection.close()
            raise NoSuchRoleError(
                f"The warehouse has no role {role.value} for this login ({str(error).strip()}). "
                "Run `winback db migrate`."
            ) from error
    connection.autocommit = autocommit
    return connection


def _refused(target: str, error: psycopg.OperationalError) -> WinbackError:
    """Why no connection came about, with what to do about it: no server, not now, wrong login, no such database.

    Whether a server answers at all is asked of libpq (`PQping` needs no login), not read out of a translated message.
    """
    shown, database = without_password(target), urlsplit(target).path.lstrip("/") or "the login's own"
    said = " ".join(str(error).split())
    server = psycopg.pq.Ping(psycopg.pq.PGconn.ping(target.encode()))
    if server is psycopg.pq.Ping.REJECT:
        what = f"The server of the warehouse {shown} is starting up or shutting down: {said}"
        advice = "Try again in a moment."
    elif server is not psycopg.pq.Ping.OK:
        what = f"The warehouse at {shown} cannot be reached: {said}"
        advice = (
            "Start the server, or correct host and port in WINBACK_DATABASE_URL "
            "(`winback db start` runs the embedded one when it is unset)."
        )
    elif f'database "{database}" does not exist' in said:  # in another language it is told by the last branch
        what = f"The server at {shown} runs, and has no database {database!r}: {said}"
        advice = (
            "Create it (`createdb`, then `winback db migrate`), or correct the name at the end of WINBACK_DATABASE_URL."
        )
    elif "authentication failed" in said or (error.pgconn is not None and error.pgconn.needs_password):
        what = f"The server at {shown} runs, and refuses the login: {said}"
        advice = "Correct user and password in WINBACK_DATABASE_URL (percent-encode : / @ in a password)."
    else:
        what = f"The server at {shown} runs, and refuses the connection: {said}"
        advice = "Check login, database and options in WINBACK_DATABASE_URL, and the server's pg_hba.conf and limits."
    return WinbackError(f"{what}\nNothing was read, changed or sent. {advice}")


@contextmanager
def transaction(role: Role) -> Iterator[psycopg.Connection]:
    """A connection whose block is one transaction: committed at its end, rolled back on an error, then closed."""
    with connect(role) as connection:
        yield connection
