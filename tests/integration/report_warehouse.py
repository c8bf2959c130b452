"""Fixtures of the report tests: a database with the `reports` views, and one with the week of `report_story` in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from reports import people
from tests.databases import created
from tests.integration import report_story
from warehouse import dbt


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
    with created(postgres, "views", template=template_database) as url:
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
        created(postgres, "reports", template=views_database) as url,
        _environment(WINBACK_DATABASE_URL=url),
        psycopg.connect(url, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture(scope="module")
def week(postgres: str, views_database: str) -> Iterator[report_story.Story]:
    """The week of `report_story`, in a database that tests only read; set as WINBACK_DATABASE_URL."""
    with created(postgres, "reports", template=views_database) as url, _environment(WINBACK_DATABASE_URL=url):
        with psycopg.connect(url) as connection:
            story = report_story.tell(connection)
        yield story
