"""What each role may do with which table, and every way of doing what it may not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import psycopg
from psycopg import errors, sql

from warehouse.connect import Role, connect

Rights = Mapping[Role, Mapping[str, str]]
"""Role -> table, or `schema.*` for the others of a schema -> what it may do, in small letters."""

_ADDED = "select insert"
_CHANGED = "select insert update"
_REPORTED = ("delivery_event", "engagement_event", "preference", "report", "report_origin")
_EVENTS = {f"events.{name}": "select" for name in _REPORTED}
_LEDGER = {"outbox.*": "select", "outbox.address_key": ""}

OURS: Rights = {
    Role.DBT: {"raw.*": "select", **_LEDGER, **_EVENTS},
    Role.SENDER: {
        "raw.loads": "select",
        "raw.provider_events": "select",
        **_LEDGER,
        **{f"outbox.{name}": _ADDED for name in (
            "contact_event", "decision", "definition", "imported_send", "run_day", "template",
        )},
        **{f"outbox.{name}": _CHANGED for name in (
            "attempt", "contact_tag", "cooldown", "coupon_grant", "landed_day", "message", "notice", "notice_attempt",
            "run", "suppression", "watermark",
        )},
        **_EVENTS,
    },
    Role.WEBHOOK: {"events.*": "insert", "events.report": "", "events.report_origin": ""},
    Role.ANALYST: {**_LEDGER, **_EVENTS},
}  # fmt: skip
"""On what migrations made. `winback` (the list of migrations) is the owner's alone."""

_BUILT = ("staging", "customers", "cohorts", "allocations", "handoff", "reports", "history")
BUILT: Rights = {
    Role.SENDER: {
        "handoff.*": "select", "allocations.*": "select", "cohorts.fct_decisions": "select",
        "history.consents": "select",
    },
    Role.WEBHOOK: {},
    Role.ANALYST: {
        **{f"{schema}.*": "select" for schema in _BUILT},
        "handoff.recipients": "",
        "staging.stg_raw__contacts": "",
        "staging.stg_raw__web_push_subscriptions": "",
    },
}  # fmt: skip
"""On what dbt made, which owns it. What shows an address is not for analysts."""

OURS_IN = ("raw", "outbox", "events", "winback")
BUILT_IN = _BUILT

_ON_TABLES = {
    "select": "select 1 from {table} limit 1",
    "insert": "insert into {table} default values",
    "update": "update {table} set {column} = default where false",
    "delete": "delete from {table} where false",
    "truncate": "truncate {table} cascade",
    "copy out": "copy {table} to stdout",
    "copy in": "copy {table} from stdin",
    "lock": "lock table {table} in access exclusive mode",
    "drop": "drop table {table} cascade",
    "add a column": "alter table {table} add column planted text",
    "drop a column": "alter table {table} drop column {column} cascade",
    "switch guards off": "alter table {table} disable trigger all",
    "rename": "alter table {table} rename to planted",
    "take over": "alter table {table} owner to current_user",
    "plant a trigger": (
        "create trigger planted before insert on {table} for each row execute function outbox.refuse_change()"
    ),
    "plant an index": "create index planted on {table} ({column})",
    "plant a rule": "create rule planted as on delete to {table} do instead nothing",
}
_ON_VIEWS = {
    "select": "select 1 from {table} limit 1",
    "drop": "drop view {table} cascade",
    "replace": "alter view {table} rename to planted",
    "take over": "alter view {table} owner to current_user",
}
_COVERED_BY = {"copy out": "select", "copy in": "insert", "lock": "update"}
"""Ways that go with a right."""


def relations(connection: psycopg.Connection, schemas: tuple[str, ...]) -> Iterator[tuple[str, bool, str]]:
    """(`schema.name`, whether it is a table, one of its columns) of everything in the schemas."""
    yield from connection.execute(
        "select n.nspname || '.' || c.relname, c.relkind in ('r', 'p'), min(a.attname) from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where c.relkind in ('r', 'p', 'v', 'm') and n.nspname = any(%s) group by 1, 2 order by 1",
        [list(schemas)],
    ).fetchall()


def allowed(rights: Rights, role: Role, table: str) -> set[str]:
    """What a role may do with a table."""
    listed = rights[role]
    return set(listed.get(table, listed.get(f"{table.partition('.')[0]}.*", "")).split())


def granted(connection: psycopg.Connection, role: Role, table: str) -> set[str]:
    """What the database would let a role do, by grants of its own, of PUBLIC or of a role it is in."""
    rows = connection.execute(
        "select lower(kind) from unnest(%s::text[]) as kind where has_table_privilege(%s, %s, kind)"
        " or (kind in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege(%s, %s, kind))",
        [["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"], role, table, role, table],
    )
    return {kind for (kind,) in rows.fetchall()}


def let_through(role: Role, rights: Rights, listed: list[tuple[str, bool, str]]) -> list[str]:
    """Tries all that a role may not do with each of these; returns what it was not refused. Nothing stays of it."""
    passed = []
    with connect(role) as connection:
        for table, is_table, column in listed:
            may = allowed(rights, role, table)
            for way, statement in (_ON_TABLES if is_table else _ON_VIEWS).items():
                if _COVERED_BY.get(way, way) in may:
                    continue
                words = sql.SQL(statement).format(
                    table=sql.Identifier(*table.split(".")), column=sql.Identifier(column)
                )
                if not refused(connection, words):
                    passed.append(f"{role}: {words.as_string(connection)}")
    return passed


def refused(connection: psycopg.Connection, statement: sql.Composed | str) -> bool:
    """Whether a statement is refused for want of a right. Whatever it would have done is undone."""
    words = sql.SQL(statement) if isinstance(statement, str) else statement  # type: ignore[arg-type]
    try:
        with connection.transaction(force_rollback=True):
            if re.match(r"copy .* (to|from) std", words.as_string(connection)):
                with connection.cursor().copy(words):
                    pass
            else:
                connection.execute(words)
    except errors.InsufficientPrivilege:
        return True
    return False
