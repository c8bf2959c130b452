"""Fixtures of the report tests: a database with the `reports` views, and one with the week of `report_story` in it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from reports import people
from tests.integration import report_story
from warehouse import dbt


def _named(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextmanager
def _clone(server: str, template: str) -> Iterator[str]:
    """A copy of a database, for the block."""
    name = f"winback_reports_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(_named(server, "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
        # A copy has the tables' privileges, not the database's own.
        admin.execute(sql.SQL("grant create on database {} to winback_dbt").format(sql.Identifier(name)))
        try:
            yield _named(server, name)
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """These variables for the block, and afterwards the environment as it was: dbt leaves its own there."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def views_database(postgres: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a migrated database in which dbt has built the report models, and nothing else."""
    with _clone(postgres, template_database) as url:
        work = str(tmp_path_factory.mktemp("dbt"))
        with _environment(WINBACK_DATABASE_URL=url, WINBACK_LOCAL=work, WINBACK_TARGET="prod"):
            dbt.run(
                ["run", "--select", "path:models/reports", *(name.partition(".")[2] for name in people.NEEDED)],
                progress=lambda _: None,
            )
        yield urlsplit(url).path.lstrip("/")


@pytest.fixture
def reports(postgres: str, views_database: str) -> Iterator[psycopg.Connection]:
    """A fresh database with empty report views, set as WINBACK_DATABASE_URL; its owner, autocommitting."""
    with (
        _clone(postgres, views_database) as url,
        _environment(WINBACK_DATABASE_URL=url),
        psycopg.connect(url, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture(scope="module")
def week(postgres: str, views_database: str) -> Iterator[report_story.Story]:
    """The week of `report_story`, in a database that tests only read; set as WINBACK_DATABASE_URL."""
    with _clone(postgres, views_database) as url, _environment(WINBACK_DATABASE_URL=url):
        with psycopg.connect(url) as connection:
            story = report_story.tell(connection)
        yield story
