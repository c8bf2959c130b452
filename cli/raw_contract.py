"""What a run needs of the user's tables (docs/BRING_YOUR_DATA.md), and what it does without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from warehouse import settings
from warehouse.connect import Role


@dataclass(frozen=True)
class Found:
    """A column's type as the database has it."""

    shown: str
    """As one writes it: `character(3)`."""
    plain: str
    """`pg_type.typname`; of a domain, that of the type under it."""
    category: str
    """`pg_type.typcategory`: S for text and its kin, N for numbers."""


class Kind(Enum):
    """What the models read from a column: a type, and which others do as well."""

    KEY = "text", lambda found: found.plain in {"text", "varchar"}
    """Compared with the ledger's own ids, over an index."""
    WORDS = "text or its kin", lambda found: found.category == "S"
    NUMBER = "numeric", lambda found: found.plain in {"numeric", "int2", "int4", "int8", "float4", "float8"}
    FLAG = "boolean", lambda found: found.plain == "bool"
    TIME = "timestamp with time zone", lambda found: found.plain == "timestamptz"
    """Of a time without a zone nobody knows which instant it is."""
    DOCUMENT = "jsonb", lambda found: found.plain in {"json", "jsonb"}
    ANYTHING = "anything", lambda _: True
    """Read as the text of whatever it is."""

    def __init__(self, type_name: str, takes: Callable[[Found], bool]) -> None:
        self.type_name, self.takes = type_name, takes

    def cast(self, column: str, found: Found) -> str:
        """What a view says in place of a column of the wrong type, so that it may be indexed where one can."""
        match self, found.plain, found.category:
            case Kind.TIME, "timestamp", _:
                return f"{column} at time zone 'UTC'"
            case Kind.TIME, "date", _:
                return f"{column}::timestamp at time zone 'UTC'"
            case Kind.TIME, _, "N":
                return f"to_timestamp({column})"
            case Kind.TIME, _, _:
                return f"{column}::timestamptz"
            case Kind.FLAG, _, "N":
                return f"{column} <> 0"
            case Kind.KEY | Kind.WORDS, _, _:
                return f"{column}::text"
            case _:
                return f"{column}::{self.type_name}"


@dataclass(frozen=True)
class Table:
    """One table of the raw contract. Its columns stand by what is read from them, separated by spaces; without one of
    them, or with one of another type, the models that read the table do not build."""

    name: str
    needed_for: str
    keys: str = ""
    words: str = ""
    numbers: str = ""
    flags: str = ""
    times: str = ""
    documents: str = ""
    others: str = ""
    without: str = ""
    """Of a table that may be empty: what a run then does, where that is worth saying."""
    key: str = ""
    """The column that tells its rows apart."""
    named_by: str = ""
    """The column that names a row where its key must not be shown."""
    changed_at: str = ""
    """The time by which the latest rows alone are looked through."""
    found_by: str = ""
    """Of a table that grows for ever: the column by which a row's namesakes are looked up, one by one."""
    filled: str = ""
    """The columns of which a null is a mistake that nothing else would show."""
    unfilled: str = ""
    """What such a row then is."""
    readers: Sequence[Role] = (Role.DBT,)
    """Who reads it."""

    @property
    def columns(self) -> Mapping[str, Kind]:
        """Column -> what is read from it."""
        listed = {
            Kind.KEY: self.keys,
            Kind.WORDS: self.words,
            Kind.NUMBER: self.numbers,
            Kind.FLAG: self.flags,
            Kind.TIME: self.times,
            Kind.DOCUMENT: self.documents,
            Kind.ANYTHING: self.others,
        }
        return {column: kind for kind, columns in listed.items() for column in columns.split()}


TABLES = (
    Table(
        "contacts",
        "who may be written to, where, and with which consent",
        keys="contact_id",
        words="email phone first_name country region timezone locale consent_email_source consent_email_text_version"
        " consent_sms_source consent_sms_text_version",
        flags="consent_email consent_sms",
        times="consent_email_at consent_sms_at created_at updated_at",
        key="contact_id",
        changed_at="updated_at",
    ),
    Table(
        "orders",
        "when somebody last bought",
        keys="order_id contact_id coupon_code",
        words="status currency",
        numbers="total refunded_total",
        times="ordered_at updated_at",
        key="order_id",
        changed_at="updated_at",
        found_by="contact_id",
        filled="order_id ordered_at status total currency updated_at",
        unfilled="an order is no purchase, of no worth or never looked at again",
    ),
    Table(
        "coupon_codes",
        "the codes that a step promises",
        keys="promotion code",
        times="expires_at loaded_at",
        without="steps that promise a code are held",
        key="code",
        changed_at="loaded_at",
        filled="promotion code loaded_at",
        unfilled="a code is never given",
    ),
    Table(
        "order_items",
        "what somebody bought",
        keys="order_id product_id",
        numbers="line_number quantity unit_price",
        without="recommendations are the shop's newest products, whoever they are for",
    ),
    Table(
        "products",
        "what is recommended",
        keys="product_id",
        words="name category image_url product_url",
        numbers="price",
        flags="in_stock",
        times="launched_at updated_at",
        without="nothing can be recommended",
        key="product_id",
    ),
    Table(
        "web_push_subscriptions",
        "browsers that agreed to push messages",
        keys="contact_id",
        words="endpoint p256dh auth",
        times="subscribed_at",
        without="nobody can be reached by web push",
        key="endpoint",
        named_by="contact_id",  # who knows an endpoint can send to it
        changed_at="subscribed_at",
    ),
    Table(
        "site_visits",
        "activity other than purchases",
        keys="visit_id contact_id",
        times="visited_at",
        without="visits do not count as activity",
        key="visit_id",
        changed_at="visited_at",
        found_by="contact_id",
    ),
    Table(
        "engagements",
        "opens and clicks in other systems' mail",
        keys="engagement_id contact_id",
        words="kind channel",
        flags="is_machine",
        times="occurred_at",
        without="only opens and clicks of Winback's own messages count",
        key="engagement_id",
        changed_at="occurred_at",
        found_by="contact_id",
    ),
    Table(
        "campaign_sends",
        "what other systems have sent and will send",
        keys="contact_id",
        words="campaign channel",
        times="sent_at",
        without="the frequency caps count Winback's own messages alone",
    ),
    Table(
        "loads",
        "up to when a load is complete",
        words="table_name",
        times="complete_through",
        without="the age of the newest order is checked instead",
        key="table_name",
    ),
    Table(
        "provider_events",
        "webhooks that came another way",
        words="provider",
        times="received_at",
        documents="headers",
        others="body",
        readers=(Role.SENDER,),
    ),
)


def names(dbt_project: Path) -> Mapping[str, tuple[str, str]]:
    """Table -> (schema, name) as the dbt variables `raw_schema` and `raw_<table>` have them."""
    from ruamel.yaml import YAML

    file = dbt_project / "dbt_project.yml"
    document: Mapping[str, Any] = YAML(typ="safe", pure=True).load(file) if file.exists() else {}
    variables: Mapping[str, Any] = document.get("vars") or {}
    variables = {**variables, **(variables.get(document.get("name", "")) or {})}
    schema = str(variables.get("raw_schema") or "raw")
    return {table.name: (schema, str(variables.get(f"raw_{table.name}") or table.name)) for table in TABLES}


def tables() -> Mapping[str, tuple[str, str]]:
    """`names` of this installation."""
    return names(settings.read().home / "dbt_project")


def missing(connection: psycopg.Connection, where: Mapping[str, tuple[str, str]]) -> list[str]:
    """One sentence for each table or column that is not there, may not be read or is of another type."""
    problems = []
    for table in TABLES:
        schema, name = where[table.name]
        row = connection.execute(
            "select c.oid, array(select role from unnest(%s::text[]) as role where not"
            " (has_schema_privilege(role, n.oid, 'usage') and has_table_privilege(role, c.oid, 'select')))"
            " from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s",
            [[role.value for role in table.readers], schema, name],
        ).fetchone()
        if row is None:
            variable = f" (so named by raw_schema and raw_{table.name} of dbt_project.yml)"
            renamed = variable if (schema, name) != ("raw", table.name) else ""
            problems.append(f"table {schema}.{name}{renamed} is missing: {table.needed_for}")
            continue
        oid, barred = row
        problems += [
            f"table {schema}.{name} may not be read by {role}: {table.needed_for}. Say `grant usage on schema {schema} "
            f"to {role}; grant select on {schema}.{name} to {role};` as its owner"
            for role in barred
        ]
        there = _types(connection, oid)
        for column, kind in table.columns.items():
            found = there.get(column)
            if found is None:
                problems.append(f"column {schema}.{name}.{column} is missing: {table.needed_for}")
            elif not kind.takes(found):
                problems.append(
                    f"column {schema}.{name}.{column} is {found.shown}, and {kind.type_name} is read: "
                    f"{table.needed_for}. Let a view give `{kind.cast(column, found)} as {column}`"
                    + (" (with the zone its times are in)" if found.plain in {"timestamp", "date"} else "")
                )
    return problems


def _types(connection: psycopg.Connection, oid: int) -> dict[str, Found]:
    """The columns of a table or view -> their types."""
    return {column: Found(*of_column) for column, *of_column in connection.execute(_TYPES, [oid])}


_TYPES = """
    select a.attname, format_type(a.atttypid, a.atttypmod), plain.typname, plain.typcategory::text
    from pg_attribute as a
    cross join lateral (
        with recursive under as (
            select typname, typcategory, typbasetype from pg_type where oid = a.atttypid
            union all
            select base.typname, base.typcategory, base.typbasetype
            from under join pg_type as base on base.oid = under.typbasetype
        )

        select typname, typcategory from under where typbasetype = 0
    ) as plain
    where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
"""


def empty(connection: psycopg.Connection, where: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """The tables without a row that may be empty -> what a run does without them."""
    found = {}
    for table in TABLES:
        if not table.without:
            continue
        query = sql.SQL("select exists (select from {})").format(sql.Identifier(*where[table.name]))
        row = connection.execute(query).fetchone()
        if not (row and row[0]):
            found[".".join(where[table.name])] = table.without
    return found
