"""Rows of the user's tables that a run cannot take as they are (docs/BRING_YOUR_DATA.md): each named, with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import psycopg
from psycopg import sql

from cli import words
from cli.raw_contract import TABLES


def repeated(
    connection: psycopg.Connection, where: Mapping[str, tuple[str, str]], lately: datetime, since: datetime | None
) -> list[str]:
    """One sentence for each table in which a key is there more than once, with one such key and what to do.

    A table whose key has a unique index is not read. Of one that grows for ever, only what changed from `lately` on is
    compared, with the other rows of the same contact and among itself; of any other that says when a row changed, what
    did so from `since` on, with all its rows. `since` None: no run has looked at a table before, and all of it is.
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
        queries, values = [_REPEATED], {}
        if table.found_by and since:
            queries, values = [_REPEATED_LATELY, _REPEATED_AMONG], {"since": lately}
        elif table.changed_at and since and _has_times(connection, parts):
            queries, values = [_REPEATED_SINCE], {"since": since}
        found = (connection.execute(sql.SQL(query).format(**parts), values).fetchone() for query in queries)
        row = next(filter(None, found), None)
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
# Under two contacts, too: an order that was corrected by writing it anew under another.
_REPEATED_AMONG = """
    select min({named}::text), count(*), count(*) over () - 1
    from {table} where {changed_at} >= %(since)s and {key} is not null
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


def unfilled(connection: psycopg.Connection, where: Mapping[str, tuple[str, str]], since: datetime | None) -> list[str]:
    """One sentence for each column that no row may leave null and some do, with how many and one of them.

    Columns that are declared `not null` are not read; of the others only rows that changed from `since` on, or do not
    say when (None: all of them).
    """
    problems = []
    for table in TABLES:
        schema, name = where[table.name]
        columns = [column for column in table.filled.split() if not _is_declared(connection, schema, name, column)]
        if not columns:
            continue
        named, changed_at = sql.Identifier(table.named_by or table.key), sql.Identifier(table.changed_at)
        query = sql.SQL(_UNFILLED).format(
            named=named,
            table=sql.Identifier(schema, name),
            listed=sql.SQL(", ").join(
                sql.SQL("({}, listed.{} is null)").format(column, sql.Identifier(column)) for column in columns
            ),
            changed=sql.SQL("(listed.{0} >= {1} or listed.{0} is null)").format(changed_at, since)
            if since
            else sql.SQL("true"),
        )
        for column, rows, example in connection.execute(query):
            problems.append(
                f"{schema}.{name}: {column} is null in {words.counted(rows, 'row', 'rows')}"
                + (f", such as {table.key} {example!r}" if example else "")
                + f". Without it {table.unfilled}: fill it, or leave such rows out of what stands behind "
                f"{schema}.{name}."
            )
    return problems


_UNFILLED = """
    select wrong.name, count(*), min(listed.{named}::text)
    from {table} as listed
    cross join lateral (values {listed}) as wrong (name, is_null)
    where wrong.is_null and {changed}
    group by wrong.name order by wrong.name
"""


def _is_declared(connection: psycopg.Connection, schema: str, name: str, column: str) -> bool:
    """Whether the table itself refuses a null there; a view never says so."""
    row = connection.execute(
        "select attnotnull from pg_attribute where attrelid = format('%%I.%%I', %s::text, %s::text)::regclass"
        " and attname = %s",
        [schema, name, column],
    ).fetchone()
    return bool(row and row[0])
