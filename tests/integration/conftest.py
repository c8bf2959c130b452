"""Fixtures of the integration tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import httpx
import psycopg
import pytest

from events.app import create_app
from tests.databases import created
from tests.integration.events_service import CONNECTIONS, serving
from tests.integration.gate_day import Built, day_of_its_own
from tests.integration.handoff_stub import Shop, install_handoff, open_shop

EMPTIED = """
do $$
declare
    filled record;
begin
    set local session_replication_role = replica;  -- the ledger's guards refuse this to everyone else
    for filled in
        select schemaname, tablename from pg_tables
        where schemaname in ('outbox', 'events', 'raw', 'cohorts', 'allocations', 'handoff')
            and tablename not in ('transition', 'time_zone', 'country_zone', 'region', 'address_key')
    loop
        execute format('delete from %I.%I', filled.schemaname, filled.tablename);
    end loop;
end
$$
"""


@pytest.fixture(scope="module")
def gate_day(postgres: str, template_database: str) -> Iterator[Built]:
    with day_of_its_own(postgres, template_database) as it:
        yield it


@pytest.fixture
def built(gate_day: Built) -> Iterator[Built]:
    """A built run that the gate lets pass; what a test does to it is taken back."""
    yield replace(gate_day)
    gate_day.owner.rollback()


@pytest.fixture(scope="session")
def shop_database(postgres: str, template_database: str) -> Iterator[str]:
    """The URL of a migrated database with the stand-in hand-off. One for all: a clone a test takes most of its time."""
    with created(postgres, "shop", template=template_database) as url:
        install_handoff(url)
        yield url


@pytest.fixture
def emptied(shop_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of that database, its tables empty: the test's WINBACK_DATABASE_URL. For tests that change no table."""
    monkeypatch.setenv("WINBACK_DATABASE_URL", shop_database)
    with psycopg.connect(shop_database, autocommit=True) as admin:
        admin.execute(EMPTIED)
    return shop_database


@pytest.fixture
def shop(emptied: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop whose hand-off is made by hand; its database is the test's WINBACK_DATABASE_URL, emptied before it."""
    monkeypatch.setenv("WINBACK_PUBLIC_URL", "https://links.example.com")
    monkeypatch.setenv("WINBACK_TOKEN_KEY", "test")
    opened = open_shop()
    yield opened
    opened.owner.close()


@pytest.fixture
def environment(emptied: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The webhook service's environment over an empty warehouse, whose URL it returns."""
    for name, document in CONNECTIONS.items():
        monkeypatch.setenv(name, json.dumps(document))
    monkeypatch.setenv("WINBACK_TOKEN_KEY", "a-key-for-tests")
    return emptied


@pytest.fixture
def client(environment: str) -> Iterator[httpx.Client]:
    """A client of the webhook service, which runs."""
    with serving(create_app()) as found:
        yield found
