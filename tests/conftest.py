"""Fixtures that every test may use: a real PostgreSQL, a fresh migrated database for each test that asks for one.

The suite is played by several processes (WORKERS of the Makefile), file by file. They share the server; each has what
else lies under `WINBACK_LOCAL` for itself.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from local.postgres import ensure
from tests.databases import created, named
from warehouse import settings
from warehouse.migrate import migrate

SETTING_UP = 7_305_900
"""Advisory lock: roles belong to the whole server, and two processes would make them at the same moment."""


def pytest_configure(config: pytest.Config) -> None:
    """Starts the embedded server before the processes that share it."""
    gc.set_threshold(100_000, 50, 50)  # a tenth of the time went into looking through what lives as long as the process
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        os.environ["WINBACK_LOCAL"] = str(settings.read().local / "tests" / worker)
    elif config.getoption("numprocesses", None) and not os.environ.get("WINBACK_DATABASE_URL"):
        os.environ["WINBACK_DATABASE_URL"] = ensure().url()


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
    with (
        psycopg.connect(named(postgres, "postgres"), autocommit=True) as admin,
        created(postgres, "template") as url,
    ):
        admin.execute("select pg_advisory_lock(%s)", [SETTING_UP])
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("WINBACK_DATABASE_URL", url)
                migrate()
        finally:
            admin.execute("select pg_advisory_unlock(%s)", [SETTING_UP])
        yield urlsplit(url).path.lstrip("/")


@pytest.fixture
def warehouse(postgres: str, template_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a fresh migrated database, set as WINBACK_DATABASE_URL for the test."""
    with created(postgres, "test", template=template_database) as url:
        monkeypatch.setenv("WINBACK_DATABASE_URL", url)
        yield url
