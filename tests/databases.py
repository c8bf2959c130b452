"""Databases of the suite's own, each made for a block and dropped at its end."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)[:8] + os.environ.get("PYTEST_XDIST_WORKER", "")
_TAKEN: set[str] = set()


def named(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextmanager
def created(server: str, what: str, *, template: str | None = None) -> Iterator[str]:
    """The URL of a database for the block: a copy of `template`, or an empty one.

    The names of dropped ones are used again, for dbt keeps what it has parsed by the database's name, and parsing takes
    it several seconds.
    """
    name = _name(what)
    with psycopg.connect(named(server, "postgres"), autocommit=True) as admin:
        copied = sql.SQL("template {}").format(sql.Identifier(template)) if template else sql.SQL("")
        admin.execute(sql.SQL("create database {} {}").format(sql.Identifier(name), copied))
        try:
            if template:  # a copy has everything but the privileges on the database itself (0001_roles.sql)
                admin.execute(
                    sql.SQL("grant create, connect, temporary on database {} to winback_dbt").format(
                        sql.Identifier(name)
                    )
                )
            yield named(server, name)
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
            _TAKEN.discard(name)


def _name(what: str) -> str:
    number = 1
    while (name := f"winback_{what}_{_RUN}_{number}") in _TAKEN:
        number += 1
    _TAKEN.add(name)
    return name
