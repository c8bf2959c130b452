"""What a run needs of the user's tables (docs/BRING_YOUR_DATA.md), and what it does without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from cli import words
from warehouse import settings
from warehouse.connect import Role


@dataclass(frozen=True)
class Table:
    """One table of the raw contract."""

    name: str
    needed_for: str
    columns: str
    """Separated by spaces; without one of them the models that read the table do not build."""
    without: str = ""
    """Of a table that may be empty: what a run then does, where that is worth saying."""
    key: str = ""
    """The column that tells its rows apart."""
    named_by: str = ""
    """The column that names a row where its key must not be shown."""
    changed_at: str = ""
    """The time by which `repeated` looks at the latest rows alone."""
    found_by: str = ""
    """Of a table that grows for ever: the column by which a row's namesakes are looked up, one by one."""
    readers: Sequence[Role] = (Role.DBT,)
    """Who reads it."""


TABLES = (
    Table(
        "contacts",
        "who may be written to, where, and with which consent",
        "contact_id email phone first_name country region timezone locale consent_email consent_email_at"
        " consent_email_source consent_email_text_version consent_sms consent_sms_at consent_sms_source"
        " consent_sms_text_version created_at updated_at",
        key="contact_id",
        changed_at="updated_at",
    ),
    Table(
        "orders",
        "when somebody last bought",
        "order_id contact_id ordered_at status total refunded_total currency coupon_code updated_at",
        key="order_id",
        changed_at="updated_at",
        found_by="contact_id",
    ),
    Table(
        "coupon_codes",
        "the codes that a step promises",
        "promotion code expires_at loaded_at",
        "steps that promise a code are held",
        key="code",
        changed_at="loaded_at",
    ),
    Table(
        "order_items",
        "what somebody bought",
        "order_id line_number product_id quantity unit_price",
        "recommendations are the shop's newest products, whoever they are for",
    ),
    Table(
        "products",
        "what is recommended",
        "product_id name category price image_url product_url in_stock launched_at updated_at",
        "nothing can be recommended",
        key="product_id",
    ),
    Table(
        "web_push_subscriptions",
        "browsers that agreed to push messages",
        "endpoint contact_id p256dh auth subscribed_at",
        "nobody can be reached by web push",
        key="endpoint",
        named_by="contact_id",  # who knows an endpoint can send to it
        changed_at="subscribed_at",
    ),
    Table(
        "site_visits",
        "activity other than purchases",
        "visit_id contact_id visited_at",
        "visits do not count as activity",
        key="visit_id",
        changed_at="visited_at",
        found_by="contact_id",
    ),
    Table(
        "engagements",
        "opens and clicks in other systems' mail",
        "engagement_id contact_id kind channel is_machine occurred_at",
        "only opens and clicks of Winback's own messages count",
        key="engagement_id",
        changed_at="occurred_at",
        found_by="contact_id",
    ),
    Table(
        "campaign_sends",
        "what other systems have sent and will send",
        "contact_id campaign channel sent_at",
        "the frequency caps count Winback's own messages alone",
    ),
    Table(
        "loads",
        "up to when a load is complete",
        "table_name complete_through",
        "the age of the newest order is checked instead",
        key="table_name",
    ),
    Table(
        "provider_events",
        "webhooks that came another way",
        "provider received_at headers body",
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
    """One sentence for each table or column that is not there or may not be read, with what it is for."""
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
        there = {
            column
            for (column,) in connection.execute(
                "select attname from pg_attribute where attrelid = %s and attnum > 0 and not attisdropped", [oid]
            )
        }
        problems += [
            f"column {schema}.{name}.{column} is missing: {table.needed_for}"
            for column in table.columns.split()
            if column not in there
        ]
    return problems


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


def repeated(
    connection: psycopg.Connection, where: Mapping[str, tuple[str, str]], lately: datetime, since: datetime | None
) -> list[str]:
    """One sentence for each table in which a key is there more than once, with one such key and what to do.

    A table whose key has a unique index is not read. Of one that grows for ever, only what changed from `lately` on is
    compared, with the other rows of the same contact; of any other that says when a row changed, what did so from
    `since` on, with all its rows (None: no run has looked at it before, and all is).
    """
    problems = []
    for table in TABLES:
        schema, name = where[table.name]
        if not table.key or _is_unique(connection, schema, name, table.key):
            continue
        parts = {
            "table": sql.Identifier(schema, name),
            "key": sql.Identifier(table.key),
            "named": sql.Identifier(table.named_by or table.key),
            "changed_at": sql.Identifier(table.changed_at or table.key),
            "found_by": sql.Identifier(table.found_by or table.key),
        }
        query, values = _REPEATED, {}
        if table.found_by:
            query, values = _REPEATED_LATELY, {"since": lately}
        elif table.changed_at and since and _has_times(connection, parts):
            query, values = _REPEATED_SINCE, {"since": since}
        row = connection.execute(sql.SQL(query).format(**parts), values).fetchone()
        if row is None:
            continue
        value, times, others = row
        one = f"an {table.key} of {table.named_by} {value!r}" if table.named_by else f"the {table.key} {value!r}"
        problems.append(
            f"{schema}.{name}: {one} is there {times} times"
            + (f", and {words.counted(others, 'other is', 'others are')} repeated, too" if others else "")
            + f". One row is expected for each {table.key}: {_remedy(connection, schema, name, table.key)}"
        )
    return problems


_REPEATED = """
    select min({named}::text), count(*), count(*) over () - 1
    from {table} where {key} is not null group by {key} having count(*) > 1 order by {key} limit 1
"""
_REPEATED_SINCE = """
    select min({named}::text), count(*), count(*) over () - 1
    from {table} where {key} in (select {key} from {table} where {changed_at} >= %(since)s)
    group by {key} having count(*) > 1 order by {key} limit 1
"""
# `offset 0`: by the index on contacts, one look-up a row, and never a join with the whole table.
_REPEATED_LATELY = """
    select namesakes.name, namesakes.times, count(*) over () - 1
    from (
        select distinct {found_by}, {key} from {table} where {changed_at} >= %(since)s and {key} is not null
    ) as latest
    cross join lateral (
        select min(listed.{named}::text) as name, count(*) as times
        from {table} as listed
        where listed.{found_by} = latest.{found_by} and listed.{key} = latest.{key}
        offset 0
    ) as namesakes
    where namesakes.times > 1
    order by latest.{key} limit 1
"""


def _has_times(connection: psycopg.Connection, parts: Mapping[str, sql.Identifier]) -> bool:
    """Whether every row of the table says when it changed: one that does not would never be looked at again."""
    query = sql.SQL("select not exists (select from {table} where {changed_at} is null)").format(**parts)
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def _is_unique(connection: psycopg.Connection, schema: str, name: str, key: str) -> bool:
    """Whether a unique index over the whole table stands on this column alone."""
    row = connection.execute(
        "select exists (select from pg_index i"
        " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]"
        " where i.indrelid = format('%%I.%%I', %s::text, %s::text)::regclass and i.indisunique and i.indisvalid"
        " and i.indpred is null and i.indnkeyatts = 1 and a.attname = %s)",
        [schema, name, key],
    ).fetchone()
    return bool(row and row[0])


def _remedy(connection: psycopg.Connection, schema: str, name: str, key: str) -> str:
    row = connection.execute(
        "select relkind in ('v', 'f') from pg_class where oid = format('%%I.%%I', %s::text, %s::text)::regclass",
        [schema, name],
    ).fetchone()
    if row and row[0]:
        return f"let what stands behind {schema}.{name} give one, the newest (select distinct on ({key}) ...)."
    return f"remove the others, and keep it so with `create unique index on {schema}.{name} ({key})`."
