"""Copies a sample into the raw contract: all of it, or nothing.

One transaction holds every row and, at its end, what `raw.loads` vouches for: a load that is killed leaves neither.
Each table is copied beside the real one, and only rows whose key is missing are added: a second load adds nothing, and
what the simulated shop has written since stays.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import sql

from local.complete_journey import COMPLETE_THROUGH, Sample, Table
from local.shop import ORDER_PREFIX
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

LOAD_LOCK = 7_305_010
"""Advisory lock (transaction): one load at a time."""
_BATCH = 50_000

Progress = Callable[[str, int], None]
"""Told the table's name and how many of its rows were copied since the last call."""


def load(sample: Sample, keys_file: Path, progress: Progress = lambda _table, _rows: None) -> dict[str, int]:
    """Loads the sample into a migrated warehouse and returns how many rows each table gained.

    Writes the browsers' keys to `keys_file` (0600) first: a subscription without its key could not be played.
    Raises `WinbackError` when `raw` holds orders or contacts of somebody else; nothing is changed then.
    """
    _write_keys(keys_file, sample.push_keys)
    with connect(Role.OWNER) as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", [LOAD_LOCK])
        for table in sample.tables:
            _copy(connection, table, progress)
        _refuse_strangers(connection)
        added = {table.name: _add_missing(connection, table) for table in sample.tables}
        for table in sample.tables:
            if added[table.name]:
                connection.execute(sql.SQL("analyze {}").format(_raw(table)))
        _vouch(connection, sample, COMPLETE_THROUGH)
    return added


def _raw(table: Table) -> sql.Identifier:
    return sql.Identifier("raw", table.name)


def _stage(name: str) -> sql.Identifier:
    return sql.Identifier(f"sample_{name}")


def _columns(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, table.rows.column_names))


def _copy(connection: psycopg.Connection, table: Table, progress: Progress) -> None:
    connection.execute(
        sql.SQL("create temporary table {} on commit drop as select {} from {} with no data").format(
            _stage(table.name), _columns(table), _raw(table)
        )
    )
    statement = sql.SQL("copy {} ({}) from stdin with (format csv)").format(_stage(table.name), _columns(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for rows, text in _csv(table.rows):
            copy.write(text)
            progress(table.name, rows)
    connection.execute(sql.SQL("analyze {}").format(_stage(table.name)))


def _csv(rows: pa.Table) -> Iterator[tuple[int, bytes]]:
    """Batches of rows as CSV: an empty field that is not quoted is null, to PostgreSQL as to Arrow."""
    options = pa_csv.WriteOptions(include_header=False)
    for batch in rows.to_batches(max_chunksize=_BATCH):
        buffer = io.BytesIO()
        pa_csv.write_csv(batch, buffer, options)
        yield batch.num_rows, buffer.getvalue()


def _refuse_strangers(connection: psycopg.Connection) -> None:
    """The sample goes into a warehouse of its own: mixed with a shop's real customers it would be mailed to them."""
    for name, key, ours in (("orders", "order_id", f"{ORDER_PREFIX}%"), ("contacts", "contact_id", "")):
        stranger = connection.execute(
            sql.SQL(
                "select {key}, count(*) over () from {raw} r where not exists"
                " (select from {stage} s where s.{key} = r.{key}) and r.{key} not like %s limit 1"
            ).format(key=sql.Identifier(key), raw=sql.Identifier("raw", name), stage=_stage(name)),
            [ours],
        ).fetchone()
        if stranger:
            raise WinbackError(
                f"raw.{name} holds {stranger[1]} rows that are not of the sample data ({key} {stranger[0]!r} is one). "
                "The sample is only loaded into a warehouse of its own: create an empty database, point "
                "WINBACK_DATABASE_URL at it and load again. Nothing was changed."
            )


def _add_missing(connection: psycopg.Connection, table: Table) -> int:
    same = sql.SQL(" and ").join(sql.SQL("r.{0} = s.{0}").format(sql.Identifier(column)) for column in table.key)
    order = sql.SQL(", ").join(map(sql.Identifier, table.key))
    return connection.execute(
        sql.SQL(
            "insert into {raw} ({columns}) select {columns} from {stage} s"
            " where not exists (select from {raw} r where {same}) order by {order}"
        ).format(raw=_raw(table), stage=_stage(table.name), columns=_columns(table), same=same, order=order)
    ).rowcount


def _vouch(connection: psycopg.Connection, sample: Sample, complete_through: datetime) -> None:
    for table in sample.tables:
        comment = f"Sample data (winback load complete-journey). {table.comment}"
        connection.execute(sql.SQL("comment on table {} is {}").format(_raw(table), sql.Literal(comment)))
        connection.execute(
            "insert into raw.loads (table_name, complete_through) values (%s, %s) on conflict (table_name)"
            " do update set complete_through = excluded.complete_through"
            " where loads.complete_through < excluded.complete_through",
            [table.name, complete_through],
        )


def _write_keys(path: Path, keys: Mapping[str, Mapping[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(keys, file, indent=1, sort_keys=True)
    draft.replace(path)
