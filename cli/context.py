"""What every verb needs before it starts: the warehouse's URL, the senders' connections, one way to end.

This is the one place where the product meets `local`: what has no server and no account gets the embedded ones.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from warehouse import connections
from warehouse.errors import Misconfigured


def use_warehouse() -> str:
    """Settles `WINBACK_DATABASE_URL` for this process and its children.

    It is itself where set, then the connection `warehouse_default`, then the embedded server.
    """
    if not os.environ.get("WINBACK_DATABASE_URL"):
        connection = connections.find(connections.WAREHOUSE)
        if connection is not None:
            os.environ["WINBACK_DATABASE_URL"] = connections.database_url_of(connection)
        else:
            from local import postgres

            os.environ["WINBACK_DATABASE_URL"] = postgres.ensure().url()
    return os.environ["WINBACK_DATABASE_URL"]


def use_senders() -> bool:
    """Settles whether this process speaks to the local sandbox or to real providers: never to both.

    Where no sender has a connection all of them get the sandbox, started on demand. Where some have one, the others
    stay without: nothing of their channels is claimed. Returns whether all are sandboxed: then a run is simulated,
    otherwise it is live. Raises `Misconfigured` where some connections are marked as sandboxes and some are not: a
    message would be recorded as accepted that reached nobody.
    """
    given = _given()
    sandboxed = {conn_id for conn_id, connection in given.items() if connection.sandbox}
    if sandboxed and sandboxed != set(given):
        raise Misconfigured(
            f"{', '.join(sorted(sandboxed))} is marked as a sandbox and {', '.join(sorted(set(given) - sandboxed))} is "
            "not: a run is simulated or live, never both. Mark all senders' connections or none. Nothing was claimed "
            "and nothing was sent."
        )
    if given and not sandboxed:
        return False
    missing = [conn_id for conn_id in (*connections.SENDERS, connections.ALERTS) if connections.find(conn_id) is None]
    if missing:
        from local.sandbox import server

        for conn_id, document in server.ensure().connections().items():
            if conn_id in missing:
                os.environ[connections.variable(conn_id)] = json.dumps(document)
    return True


def is_live() -> bool:
    """Whether a run of this process would be live, asked without starting a sandbox."""
    given = _given()
    return bool(given) and not any(connection.sandbox for connection in given.values())


def _given() -> dict[str, connections.Connection]:
    return {conn_id: found for conn_id in connections.SENDERS if (found := connections.find(conn_id)) is not None}


def tell_sandbox(instant: datetime) -> None:
    """Tells the local sandbox the simulated time and waits for the webhooks that are due by then.

    A sandbox of another kind keeps its own time.
    """
    from local.sandbox import server

    sandbox = server.running()
    if sandbox is not None:
        sandbox.set_clock(instant)
        sandbox.drain()


def is_task() -> bool:
    """Whether a task of Airflow runs us."""
    return bool(os.environ.get("AIRFLOW_CTX_DAG_RUN_ID"))


def holder() -> str:
    """Who a run belongs to: Airflow's run, where a task runs us; otherwise the shell that called."""
    run = os.environ.get("AIRFLOW_CTX_DAG_RUN_ID")
    if run:
        return f"{os.environ.get('AIRFLOW_CTX_DAG_ID', 'airflow')} {run}"
    return f"shell {socket.gethostname()}:{os.getppid()}"


def next_step(call: str) -> None:
    """Tells who typed a verb into a shell the next one of the day; a task of Airflow knows it."""
    if not is_task():
        sys.stdout.write(f"next: {call}\n")


def result(values: Mapping[str, Any]) -> None:
    """Ends a verb's output with its one line of JSON: ids and counts, never people. A task takes it as XCom."""
    sys.stdout.flush()
    sys.stdout.write(json.dumps(values, default=str, sort_keys=True) + "\n")
    sys.stdout.flush()
