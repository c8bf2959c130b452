"""The second way out of an alert, for when the outbox is what fails: Airflow itself tells the team."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import Connection
from winback_operator import AirflowNotFoundException

_LOG = logging.getLogger("airflow.task")
SMTP, WEBHOOK = "alerts_smtp", "alerts_webhook"


def tell_team(context: Mapping[str, Any]) -> None:
    """Tells of a failed run or task by whatever exists of two connections: it names both, never a person.

    `alerts_smtp`: a mail server, with `from_email` and `to` in its extra. `alerts_webhook`: a URL as its host; it is
    sent `{"text": ...}`. That nobody could be told is said in the log.
    """
    run = context.get("run_id") or getattr(context.get("dag_run"), "run_id", "?")
    failed = getattr(context.get("ti"), "task_id", "the run")
    raised = context.get("exception")  # its words may be long, and are in the log
    why = context.get("reason") or (type(raised).__name__ if raised else "no reason given")
    text = f"{context['dag'].dag_id}: {failed} failed ({why}), run {run}."
    ways = [_tell(conn_id, tell, text) for conn_id, tell in ((SMTP, _mail), (WEBHOOK, _post))]
    _LOG.info("%s Told through: %s", text, ", ".join(filter(None, ways)) or f"nothing ({SMTP}, {WEBHOOK})")


def _tell(conn_id: str, tell: Callable[[Any, str], None], text: str) -> str | None:
    try:
        tell(Connection.get(conn_id), text)
    except AirflowNotFoundException:
        return None
    except Exception:  # noqa: BLE001 - one way out that is closed must not close the other
        _LOG.exception("The team could not be told through %s.", conn_id)
        return None
    return conn_id


def _mail(connection: Connection, text: str) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    extra = connection.extra_dejson
    with SmtpHook(smtp_conn_id=connection.conn_id) as smtp:
        smtp.send_email_smtp(
            to=extra["to"], subject="Winback: a run failed", html_content=text, from_email=extra.get("from_email")
        )


def _post(connection: Connection, text: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - the address is the operator's own
        connection.host, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass
