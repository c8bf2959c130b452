"""The migration runner: numbered SQL files, each applied once, in one transaction, under one advisory lock.

The files of a folder are applied in the order of their names. What was applied is kept in `winback.migration`
with a checksum; an applied file that has changed since is refused, because two databases would
then differ without anyone knowing. A mended file names the text that it replaces (`-- Supersedes <checksum>`) where a
database that has the old one needs nothing of the new one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from warehouse.connect import MIGRATION_LOCK, Role, connect
from warehouse.errors import WinbackError

_HOME = Path(__file__).resolve().parent.parent
FOLDERS = (
    _HOME / "warehouse" / "migrations",
    _HOME / "outbox" / "migrations",
    _HOME / "events" / "migrations",
)

_SUPERSEDES = re.compile(r"^-- Supersedes ([0-9a-f]{64})\b", re.MULTILINE)


@dataclass(frozen=True)
class Applied:
    """One migration file that this call applied."""

    name: str
    """`outbox/0001_ledger.sql`"""


def migrate(folders: Sequence[Path] = FOLDERS) -> list[Applied]:
    """Applies what is missing and returns it; a second call returns an empty list.

    Raises `WinbackError` naming the file when one fails or was edited after it was applied; everything of
    this call is then rolled back.
    """
    applied: list[Applied] = []
    with connect(Role.OWNER) as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        connection.execute("create schema if not exists winback")
        connection.execute(
            "create table if not exists winback.migration"
            " (name text primary key, checksum text not null, applied_at timestamptz not null default now())"
        )
        known: dict[str, str] = dict(connection.execute("select name, checksum from winback.migration").fetchall())
        for path in (path for folder in folders for path in sorted(folder.glob("*.sql"))):
            name = f"{path.parent.parent.name}/{path.name}"
            body = path.read_text()
            checksum = hashlib.sha256(body.encode()).hexdigest()
            if name not in known:
                _apply(connection, name, body)
                connection.execute("insert into winback.migration (name, checksum) values (%s, %s)", [name, checksum])
                applied.append(Applied(name))
            elif known[name] in _SUPERSEDES.findall(body):
                connection.execute("update winback.migration set checksum = %s where name = %s", [checksum, name])
            elif known[name] != checksum:
                raise WinbackError(
                    f"Migration {name} was applied here and has been edited since. Restore it and write the change as "
                    "a new file with the next number. The database was not changed."
                )
    return applied


def pending(connection: psycopg.Connection, folders: Sequence[Path] = FOLDERS) -> tuple[list[str], list[str]]:
    """The migrations that this database still misses, and those that were edited after it got them. Changes nothing."""
    there = connection.execute("select to_regclass('winback.migration') is not null").fetchone()
    known: dict[str, str] = {}
    if there and there[0]:
        known = dict(connection.execute("select name, checksum from winback.migration").fetchall())
    missing, edited = [], []
    for path in (path for folder in folders for path in sorted(folder.glob("*.sql"))):
        name, body = f"{path.parent.parent.name}/{path.name}", path.read_text()
        if name not in known:
            missing.append(name)
        elif known[name] not in (hashlib.sha256(body.encode()).hexdigest(), *_SUPERSEDES.findall(body)):
            edited.append(name)
    return missing, edited


def _apply(connection: psycopg.Connection, name: str, body: str) -> None:
    try:
        connection.execute(body)
    except psycopg.Error as error:
        raise WinbackError(f"Migration {name} failed: {str(error).strip()}\nNothing of it was kept.") from error
