"""A PostgreSQL server for benchmarks alone: the embedded one with `pg_stat_statements`, under `.local/bench`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from local import postgres
from warehouse import settings
from warehouse.migrate import migrate

_MORE = """
# For the benchmarks: every statement's time, by text.
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.max = 10000
pg_stat_statements.track = top
pg_stat_statements.track_planning = on
track_io_timing = on
"""


def start() -> str:
    """Starts the server (made at the first call) and returns the URL of its first database.

    Sets `WINBACK_LOCAL` for this process and its children, so that nothing of the benchmarks lands beside real data;
    and one dbt thread: statements that wait for each other's cores would count twice.
    """
    home = settings.read().home
    os.environ["WINBACK_LOCAL"] = str(folder(home))
    os.environ.pop("WINBACK_DATABASE_URL", None)
    os.environ["WINBACK_DBT_THREADS"] = "1"
    server = postgres.ensure()
    configuration = server.data / "postgresql.conf"
    if "pg_stat_statements" not in configuration.read_text():
        with configuration.open("a") as file:
            file.write(_MORE)
        postgres.stop()
        server = postgres.ensure()
    return server.url()


def stop() -> None:
    """Stops the server; its data stays for the next run."""
    postgres.stop()


def folder(home: Path) -> Path:
    """Where the benchmarks keep everything of theirs."""
    return home / ".local" / "bench"


def database(name: str, *, template: str | None = None) -> str:
    """Makes the database anew, empty and migrated or as a copy of `template`, and returns its URL."""
    url = postgres.server().url(name)
    with admin() as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        copy = sql.SQL("template {} strategy file_copy").format(sql.Identifier(template)) if template else sql.SQL("")
        connection.execute(sql.SQL("create database {} {}").format(sql.Identifier(name), copy))
        if template:
            _copy_privileges(connection, template, name)
    use(url)
    if template is None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create extension pg_stat_statements")
        migrate()
    return url


def _copy_privileges(connection: psycopg.Connection, template: str, name: str) -> None:
    """PostgreSQL copies a template's contents, but not who may do what with the database itself."""
    granted = connection.execute(
        "select privilege_type, case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end"
        " from pg_database, aclexplode(datacl) where datname = %s",
        [template],
    ).fetchall()
    for privilege, grantee in granted:
        connection.execute(
            sql.SQL("grant {} on database {} to {}").format(sql.SQL(privilege), sql.Identifier(name), sql.SQL(grantee))
        )


def drop(name: str) -> None:
    """Drops the database: a benchmark's gigabytes do not stay behind."""
    with admin() as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def use(url: str) -> None:
    """Makes the database the warehouse of this process and its children."""
    os.environ["WINBACK_DATABASE_URL"] = url


def admin() -> psycopg.Connection:
    """A connection to the server's own database."""
    return psycopg.connect(postgres.server().url("postgres"), autocommit=True)


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def home() -> Path:
    """`WINBACK_LOCAL` of the benchmarks."""
    return settings.read().local


def stop_services() -> None:
    """Stops the provider sandbox and the webhook service, where a benchmark has started them."""
    from local.sandbox import server as sandbox

    sandbox.stop()


def forget() -> None:
    """Removes everything of the benchmarks, server included."""
    postgres.stop()
    shutil.rmtree(settings.read().local, ignore_errors=True)
