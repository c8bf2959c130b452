"""Fixtures that every test may use: a real PostgreSQL, a fresh migrated database for each test that asks for one.

The suite is played by several processes (WORKERS of the Makefile), file by file. They share the server; each has what
else lies under `WINBACK_LOCAL` for itself.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from local.postgres import ensure
from warehouse import settings
from warehouse.migrate import migrate

SETTING_UP = 7_305_900
"""Advisory lock: roles belong to the whole server, and two processes would make them at the same moment."""


def pytest_configure(config: pytest.Config) -> None:
    """Starts the embedded server before the processes that share it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        os.environ["WINBACK_LOCAL"] = str(settings.read().local / "tests" / worker)
    elif config.getoption("numprocesses", None) and not os.environ.get("WINBACK_DATABASE_URL"):
        os.environ["WINBACK_DATABASE_URL"] = ensure().url()


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(autouse=True)
def environment_as_it_was() -> Iterator[None]:
    """What a verb sets in this process (connections of sandboxes it started) is gone for the next test."""
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def postgres() -> str:
    """The URL of the server the suite runs on: WINBACK_DATABASE_URL's, or the embedded one."""
    return os.environ.get("WINBACK_DATABASE_URL") or ensure().url()


@pytest.fixture(scope="session")
def template_database(postgres: str) -> Iterator[str]:
    """The name of a migrated database that each test's own is cloned from."""
    name = f"winback_template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(_with_database(postgres, "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        admin.execute("select pg_advisory_lock(%s)", [SETTING_UP])
        before = os.environ.get("WINBACK_DATABASE_URL")
        os.environ["WINBACK_DATABASE_URL"] = _with_database(postgres, name)
        try:
            migrate()
        finally:
            if before is None:
                del os.environ["WINBACK_DATABASE_URL"]
            else:
                os.environ["WINBACK_DATABASE_URL"] = before
            admin.execute("select pg_advisory_unlock(%s)", [SETTING_UP])
        yield name
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def warehouse(postgres: str, template_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a fresh migrated database, set as WINBACK_DATABASE_URL for the test."""
    name = f"winback_test_{uuid.uuid4().hex[:12]}"
    url = _with_database(postgres, name)
    with psycopg.connect(_with_database(postgres, "postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template_database))
        )
        # A clone has everything of its template but the privileges on the database itself (0001_roles.sql).
        admin.execute(
            sql.SQL("grant create, connect, temporary on database {} to winback_dbt").format(sql.Identifier(name))
        )
        monkeypatch.setenv("WINBACK_DATABASE_URL", url)
        yield url
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
