"""Connections to the warehouse, by role.

One URL, one login; each connection takes on (`SET ROLE`) the least privileged role that can do its work:

| role | may |
| --- | --- |
| `winback_dbt` | read `raw`, `outbox`, `events`; own the schemas that dbt builds |
| `winback_sender` | read `handoff` (addresses included) and `raw.loads`, write `outbox` |
| `winback_webhook` | insert into `events`, nothing else |
| `winback_analyst` | read everything but addresses |
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

    Raises `WinbackError` when the server cannot be reached, is too old, or lacks the role (not migrated).
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
        raise WinbackError(
            f"The warehouse at {without_password(target)} cannot be reached: {' '.join(str(error).split())}\n"
            "Nothing was read, changed or sent. Start the server, or correct WINBACK_DATABASE_URL "
            "(`winback db start` runs the embedded one when it is unset)."
        ) from error
    if connection.info.server_version < MINIMUM_SERVER_VERSION:
        connection.close()
        raise Misconfigured(
            f"The warehouse runs PostgreSQL {connection.info.server_version // 10000}; Winback needs 15 or newer."
        )
    if role is not Role.OWNER:
        try:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role.value)))
        except psycopg.Error as error:
            connection.close()
            raise WinbackError(
                f"The warehouse has no role {role.value} for this login ({str(error).strip()}). "
                "Run `winback db migrate`."
            ) from error
    connection.autocommit = autocommit
    return connection


@contextmanager
def transaction(role: Role) -> Iterator[psycopg.Connection]:
    """A connection whose block is one transaction: committed at its end, rolled back on an error, then closed."""
    with connect(role) as connection:
        yield connection
