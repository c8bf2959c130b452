"""The databases of the rounds: one that is migrated once, and a copy of it for each round."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.databases import named
from tests.integration.handoff_stub import install_handoff
from warehouse.migrate import migrate

_TURN = threading.RLock()

AUDIT = """
create schema faults;

-- Every change of state, as it was made: what the ledger says at the end is not taken on trust.
create table faults.audit (
    seq bigint generated always as identity primary key,
    ledger text not null,
    id uuid not null,
    attempt_no smallint,
    was text,
    became text not null,
    began_at timestamptz not null,      -- the statement's beginning: its snapshot is not older
    clock timestamptz                   -- an attempt's opened_at, in the run's clock
);

create function faults.note_message() returns trigger language plpgsql security definer as $$
begin
    insert into faults.audit (ledger, id, was, became, began_at)
    values ('message', new.id, case when tg_op = 'UPDATE' then old.state end, new.state, statement_timestamp());
    return null;
end
$$;
create function faults.note_attempt() returns trigger language plpgsql security definer as $$
begin
    insert into faults.audit (ledger, id, attempt_no, was, became, began_at, clock)
    values ('attempt', new.message_id, new.attempt_no, case when tg_op = 'UPDATE' then old.outcome end, new.outcome,
        statement_timestamp(), new.opened_at);
    return null;
end
$$;
create trigger note_new after insert on outbox.message for each row execute function faults.note_message();
create trigger note_change after update on outbox.message for each row
    when (old.state is distinct from new.state) execute function faults.note_message();
create trigger note_new after insert on outbox.attempt for each row execute function faults.note_attempt();
create trigger note_change after update on outbox.attempt for each row
    when (old.outcome is distinct from new.outcome) execute function faults.note_attempt();

-- Who took a consent back (or bought, or was suppressed), and when that was committed.
create table faults.stopped (contact_id text primary key, why text not null, at timestamptz not null);

-- The control's own ledger.
create table faults.naive (
    id uuid primary key default gen_random_uuid(),
    contact_id text not null,
    email text not null,
    subscription jsonb,
    state text not null default 'planned',
    worker text,
    claimed_at timestamptz,
    lease_until timestamptz
);
create table faults.naive_grant (code text primary key, contact_id text not null);
create table faults.naive_told (contact_id text primary key);     -- who counts as served
create index naive_open on faults.naive (state, lease_until);
"""


class Arena:
    """A server with a prepared database, from which each round's own is copied. `server`: its URL, a superuser's."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._bases: dict[bool, str] = {}

    def prepare(self, *, handmade: bool = True) -> str:
        """Migrates the database that the others are copied from, once; its name."""
        with _TURN:
            if handmade not in self._bases:
                self._bases[handmade] = self._migrated(handmade)
            return self._bases[handmade]

    def _migrated(self, handmade: bool) -> str:
        name = f"winback_faults_{uuid.uuid4().hex[:12]}"
        with self._admin() as admin:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        url = named(self.server, name)
        with warehouse(url):
            migrate()
        if handmade:
            install_handoff(url)
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(AUDIT)
        return name

    @contextmanager
    def database(self, *, handmade: bool = True) -> Iterator[str]:
        """The URL of a fresh copy, dropped when the block ends. `handmade`: with a hand-off that needs no dbt."""
        base = self.prepare(handmade=handmade)
        name = f"winback_faults_{uuid.uuid4().hex[:12]}"
        with _TURN, self._admin() as admin:  # one copy at a time: nobody may be connected to what is copied
            admin.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(base)))
            # A copy has everything of its template but the privileges on the database itself (0001_roles.sql).
            admin.execute(
                sql.SQL("grant create, connect, temporary on database {} to winback_dbt").format(sql.Identifier(name))
            )
        try:
            yield named(self.server, name)
        finally:
            with self._admin() as admin:
                admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Drops what was prepared."""
        with self._admin() as admin:
            for base in self._bases.values():
                admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(base)))
        self._bases.clear()

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(named(self.server, "postgres"), autocommit=True)


@contextmanager
def warehouse(url: str) -> Iterator[None]:
    """`WINBACK_DATABASE_URL` of this process, put back afterwards. Rounds are played in threads: one at a time."""
    with _variable("WINBACK_DATABASE_URL", url):
        yield


@contextmanager
def local_folder(path: Path) -> Iterator[None]:
    """The same for `WINBACK_LOCAL`."""
    with _variable("WINBACK_LOCAL", str(path)):
        yield


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    with _TURN:
        before = os.environ.get(name)
        os.environ[name] = value
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
