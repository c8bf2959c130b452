"""Provider and warehouse connections as Airflow writes them, read without Airflow.

A verb run by itself finds a connection in `AIRFLOW_CONN_<ID>`, as a URI or as JSON; a task of the DAG passes the same.
The command puts sandbox connections there when a sender has none. Secrets live here and nowhere else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from warehouse.errors import Misconfigured

SENDGRID, TWILIO, WEBPUSH, ALERTS, WAREHOUSE = (
    "sendgrid_default",
    "twilio_default",
    "webpush_default",
    "alerts",
    "warehouse_default",
)
SENDERS = (SENDGRID, TWILIO, WEBPUSH)


@dataclass(frozen=True)
class Connection:
    """One Airflow connection. `repr` shows neither login nor password nor extra."""

    conn_id: str
    conn_type: str = ""
    host: str = ""
    """A base URL (`https://api.sendgrid.com`) or a host name."""
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def sandbox(self) -> bool:
        """Whether its extra says `"sandbox": true`: only such a connection may run on a simulated clock."""
        return self.extra.get("sandbox") is True


def variable(conn_id: str) -> str:
    """The environment variable of a connection: `AIRFLOW_CONN_SENDGRID_DEFAULT`."""
    return f"AIRFLOW_CONN_{conn_id.upper()}"


def find(conn_id: str) -> Connection | None:
    """The connection, or None where the environment has none. Raises `Misconfigured` when it cannot be read."""
    text = os.environ.get(variable(conn_id))
    return parse(conn_id, text) if text else None


def get(conn_id: str) -> Connection:
    """The connection. Raises `Misconfigured` when there is none or it cannot be read."""
    connection = find(conn_id)
    if connection is None:
        raise Misconfigured(
            f"There is no connection {conn_id!r}. Add it in Airflow (Admin, Connections) or set {variable(conn_id)} to "
            "a connection URI or JSON. Nothing was claimed and nothing was sent."
        )
    return connection


def parse(conn_id: str, text: str) -> Connection:
    """Reads both of Airflow's forms. Raises `Misconfigured`, without repeating the text: it holds secrets."""
    try:
        if text.lstrip().startswith("{"):
            document = json.loads(text)
            extra = document.get("extra") or {}
            return Connection(
                conn_id,
                conn_type=document.get("conn_type") or "",
                host=_with_port(document.get("host") or "", document.get("port")),
                login=document.get("login") or "",
                password=document.get("password") or "",
                schema=document.get("schema") or "",
                extra=json.loads(extra) if isinstance(extra, str) else extra,
            )
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query))
        extra = json.loads(query["__extra__"]) if "__extra__" in query else query
        return Connection(
            conn_id,
            conn_type=parts.scheme,
            host=_with_port(unquote(parts.hostname or ""), parts.port),
            login=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            schema=unquote(parts.path.lstrip("/")),
            extra=extra,
        )
    except (ValueError, AttributeError) as error:
        raise Misconfigured(
            f"{variable(conn_id)} is neither an Airflow connection URI nor its JSON form ({type(error).__name__})."
        ) from None


def _with_port(host: str, port: object) -> str:
    return f"{host}:{port}" if host and port else host


def database_url_of(connection: Connection) -> str:
    """`postgresql://...` of an Airflow Postgres connection (`schema` is the database's name)."""
    return (
        f"postgresql://{quote(connection.login, safe='')}:{quote(connection.password, safe='')}"
        f"@{connection.host}/{connection.schema}"
    )
