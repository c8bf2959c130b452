"""The four roles: each is tried with everything that is not its own, on every table that migrations make."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql

from tests.integration import roles
from tests.integration.handoff_stub import Shop
from warehouse.connect import Role, connect

ROLES = (Role.DBT, Role.SENDER, Role.WEBHOOK, Role.ANALYST)


def test_each_role_has_the_rights_it_needs_and_no_other(shop: Shop) -> None:
    """A table that a migration adds is in the lists of `roles.py`, or nobody's."""
    found = {
        (role, table): roles.granted(shop.owner, role, table)
        for role in ROLES
        for table, _, _ in roles.relations(shop.owner, roles.OURS_IN)
    }
    assert len(found) > 4 * 35
    wanted = {(role, table): roles.allowed(roles.OURS, role, table) for role, table in found}
    assert {key: rights for key, rights in found.items() if rights != wanted[key]} == {}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_refused_everything_else_with_every_table(shop: Shop, role: Role) -> None:
    assert roles.let_through(role, roles.OURS, list(roles.relations(shop.owner, roles.OURS_IN))) == []


FORBIDDEN = {
    "read an address where the sender reads it": ("select email, phone from handoff.recipients", "webhook analyst"),
    "read a name": ("select first_name from raw.contacts", "sender webhook analyst"),
    "ask whose address it is": ("select outbox.address_hash('email', 'a@example.com')", "analyst"),
    "read the key of the hashes": ("select inner_key from outbox.address_key", "dbt sender webhook analyst"),
    "read what providers sent word for word": ("select body from events.webhook_call", "dbt sender analyst webhook"),
    "return what it inserts": (
        "insert into events.webhook_call default values returning call_id", "dbt sender webhook analyst",
    ),
    "change what was decided": ("update outbox.decision set reason = 'x'", "dbt sender webhook analyst"),
    "make a transition": (
        "insert into outbox.transition values ('message', 'accepted', 'planned')", "dbt sender webhook analyst",
    ),
    "change the hand-off": ("update handoff.send_requests set channels = '{sms}'", "sender webhook analyst"),
    "plant a decision": ("insert into cohorts.fct_decisions default values", "sender webhook analyst"),
    "read a file of the server": ("select pg_read_file('/etc/passwd')", "dbt sender webhook analyst"),
    "run a program": ("copy (select 1) to program 'true'", "dbt sender webhook analyst"),
    "switch all guards off": ("set session_replication_role = replica", "dbt sender webhook analyst"),
    "make a role": ("create role planted", "dbt sender webhook analyst"),
    "make a role more than it is": ("alter role winback_analyst superuser", "dbt sender webhook analyst"),
    "put itself into another": ("grant winback_sender to winback_analyst", "dbt sender webhook analyst"),
    "make a database": ("create database planted", "dbt sender webhook analyst"),
    "change the server": ("alter system set fsync = off", "dbt sender webhook analyst"),
    "watch every statement": (
        "create event trigger planted on ddl_command_start execute function outbox.refuse_change()",
        "dbt sender webhook analyst",
    ),
    "make a schema": ("create schema planted", "sender webhook analyst"),
    **{
        f"plant a {what} in {schema}": (statement.format(schema), "dbt sender webhook analyst")
        for schema in (*roles.OURS_IN, "public")
        for what, statement in {
            "table": "create table {}.planted ()",
            "function": "create function {}.planted() returns integer language sql as 'select 1'",
        }.items()
    },
    **{
        f"{what} {schema}": (statement.format(schema), "dbt sender webhook analyst")
        for schema in roles.OURS_IN
        for what, statement in {"drop": "drop schema {} cascade", "rename": "alter schema {} rename to planted"}.items()
    },
    "replace a guard": (
        "create or replace function outbox.refuse_erasure() returns trigger language plpgsql"
        " as 'begin return null; end'",
        "dbt sender webhook analyst",
    ),
    "drop a guard": ("drop function outbox.refuse_erasure() cascade", "dbt sender webhook analyst"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        pytest.param(Role(f"winback_{name}"), statement, id=f"{name} {what}".replace(" ", "_"))
        for what, (statement, names) in FORBIDDEN.items()
        for name in names.split()
    ],
)
def test_each_role_is_refused_what_is_not_its_own(shop: Shop, role: Role, statement: str) -> None:
    with connect(role, autocommit=True) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_cannot_become_another(shop: Shop, role: Role) -> None:
    """For a login of an analyst's own, say: the login that migrates may be all four, one at a time."""
    login = shop.value("select current_user")
    with connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(f"set session authorization {role}")
        for other in (*(other for other in ROLES if other != role), login):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"set role {other}")


def test_no_role_is_more_than_a_role(shop: Shop) -> None:
    more = (
        "rolsuper or rolcreaterole or rolcreatedb or rolcanlogin or rolreplication or rolbypassrls"
        " or exists (select from pg_auth_members m where m.member = r.oid)"
    )
    assert shop.rows(f"select rolname from pg_roles r where rolname = any(%s) and ({more})", list(ROLES)) == []  # noqa: S608


def test_what_runs_with_its_owners_rights_is_called_by_those_it_was_made_for(shop: Shop) -> None:
    callers = shop.rows(
        "select p.oid::regproc::text, array_agg(r.rolname::text order by r.rolname)"
        " filter (where has_function_privilege(r.oid, p.oid, 'execute')), p.proconfig is not null"
        " from pg_proc p cross join pg_roles r where p.prosecdef and r.rolname = any(%s)"
        " and p.pronamespace in ('outbox'::regnamespace, 'events'::regnamespace, 'raw'::regnamespace) group by p.oid"
        " order by 1",
        list(ROLES),
    )
    assert callers == [
        ("outbox.address_hash", ["winback_dbt", "winback_sender", "winback_webhook"], True),
        ("outbox.erase", ["winback_sender"], True),
        ("outbox.erase_calls", ["winback_sender"], True),
    ]


@pytest.fixture
def later(shop: Shop) -> Iterator[psycopg.Connection]:
    """A connection as the owner, for tables that come later; they go with the test."""
    # A clone has everything of its template but the privileges on the database itself (0001_roles.sql).
    database = sql.Identifier(shop.owner.info.dbname)
    shop.owner.execute(sql.SQL("grant create on database {} to winback_dbt").format(database))
    yield shop.owner
    shop.owner.execute("drop schema if exists made_later cascade")
    for schema in ("raw", "outbox", "events"):
        shop.owner.execute(f"drop table if exists {schema}.made_later")


def test_a_table_that_dbt_makes_later_is_closed_until_its_model_opens_it(later: psycopg.Connection) -> None:
    with connect(Role.DBT, autocommit=True) as dbt:
        dbt.execute("create schema made_later")
        dbt.execute("grant usage on schema made_later to winback_analyst, winback_sender, winback_webhook")
        dbt.execute("create table made_later.people as select 'a@example.com' as email")
        dbt.execute("create view made_later.shown as select email from made_later.people")
    listed = list(roles.relations(later, ("made_later",)))
    assert [table for table, _, _ in listed] == ["made_later.people", "made_later.shown"]
    for role in (Role.SENDER, Role.WEBHOOK, Role.ANALYST):
        assert [roles.granted(later, role, table) for table, _, _ in listed] == [set(), set()]
        assert roles.let_through(role, {role: {}}, listed) == []


def test_a_table_that_the_loader_adds_later_is_read_by_dbt_and_nobody_else(later: psycopg.Connection) -> None:
    later.execute("create table raw.made_later (email text)")
    for role in ROLES:
        rights = {role: {"raw.made_later": "select" if role is Role.DBT else ""}}
        assert roles.granted(later, role, "raw.made_later") == roles.allowed(rights, role, "raw.made_later")
        assert roles.let_through(role, rights, [("raw.made_later", True, "email")]) == []


@pytest.mark.parametrize("schema", ["outbox", "events"])
def test_a_table_of_a_later_migration_is_nobodys_until_it_says_whose(later: psycopg.Connection, schema: str) -> None:
    later.execute(f"create table {schema}.made_later (email text)")
    for role in ROLES:
        assert roles.granted(later, role, f"{schema}.made_later") == set()
        assert roles.let_through(role, {role: {}}, [(f"{schema}.made_later", True, "email")]) == []


def test_the_one_default_is_that_dbt_reads_raw(shop: Shop) -> None:
    assert shop.rows(
        "select d.defaclnamespace::regnamespace::text, d.defaclobjtype, acl.grantee::regrole::text, acl.privilege_type,"
        " acl.is_grantable from pg_default_acl d cross join aclexplode(d.defaclacl) as acl"
    ) == [("raw", "r", "winback_dbt", "SELECT", False)]
