"""The ledger's statements: named and described in `queries/*.sql`, loaded once. Rows come as dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosql
import psycopg
from psycopg.rows import dict_row

from warehouse.connect import Role, connect

FOLDER = Path(__file__).with_name("queries")

queries: Any = aiosql.from_path(FOLDER, "psycopg", kwargs={"row_factory": dict_row})
"""Each statement as a function of a connection and its named parameters; the suffix in the file says what it
returns."""


def ledger() -> psycopg.Connection:
    """A connection as the sender role, in autocommit: what belongs together says `with connection.transaction()`.

    So an attempt is committed before its provider is called, whoever called us. Plans are not compiled: the ledger's
    statements are many and short.
    """
    connection = connect(Role.SENDER, autocommit=True)
    connection.execute("set jit = off")
    return connection
