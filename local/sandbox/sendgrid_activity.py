"""SendGrid's Email Activity: GET /v3/messages and /v3/messages/{msg_id}, as strict as the add-on that one pays for.

Sources: "Email Activity" of the API reference (six requests a minute, a query that must be one of its language) and
"Getting Started with the Email Activity Feed API". Of the language only equality of `msg_id` and of one `unique_args`
is spoken here; anything else is refused, as the real one refuses what it cannot read.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.sandbox import sendgrid_rules as rules
from local.sandbox.core import Core

A_MINUTE = 6
"""Requests."""
QUERY = re.compile(r"""\(?(?:(?P<id>msg_id)|unique_args\['(?P<name>\w+)'\])\s*=\s*"(?P<value>[^"]*)"\)?""")
DELIVERED = frozenset({"delivered", "open", "machine_open", "click", "unsubscribe", "spamreport"})
FAILED = frozenset({"bounce", "blocked", "dropped"})


def routes(core: Core, unauthorised: Callable[[Core, Request], Response | None]) -> list[Route]:
    """Both endpoints under /sendgrid."""
    asked: deque[float] = deque(maxlen=A_MINUTE)

    def refused(request: Request) -> Response | None:
        if answer := unauthorised(core, request):
            return answer
        if len(asked) == A_MINUTE and time.monotonic() - asked[0] < 60:
            return JSONResponse({"errors": [rules.error("too many requests")]}, 429)
        asked.append(time.monotonic())
        return None

    async def search(request: Request) -> Response:
        if answer := refused(request):
            return answer
        limit, query = request.query_params.get("limit", "10"), request.query_params.get("query")
        if not (limit.isdigit() and 1 <= int(limit) <= 1000):
            return JSONResponse({"errors": [rules.error("limit must be between 1 and 1000", "limit")]}, 400)
        found = QUERY.fullmatch(query.strip()) if query else None
        if query and not found:
            return JSONResponse({"errors": [rules.error("the query cannot be read", "query")]}, 400)
        rows = _rows(core, found, int(limit))
        return JSONResponse({"messages": [_short(core, row) for row in rows]})

    async def one(request: Request) -> Response:
        if answer := refused(request):
            return answer
        rows = core.store.rows(
            "select * from message where channel = 'email' and provider_id = ?", (request.path_params["msg_id"],)
        )
        if not rows:
            return JSONResponse({"errors": [rules.error("message not found")]}, 404)
        return JSONResponse(_whole(core, rows[0]))

    return [Route("/v3/messages", search, methods=["GET"]), Route("/v3/messages/{msg_id}", one, methods=["GET"])]


def _rows(core: Core, found: re.Match[str] | None, limit: int) -> list[sqlite3.Row]:
    select = "select * from message where channel = 'email' and accepted_at <= ?"
    values: list[Any] = [core.now()]
    if found and found["id"]:
        select, values = f"{select} and provider_id = ?", [*values, found["value"]]
    elif found:
        select = f"{select} and json_extract(detail, '$.custom_args.' || ?) = ?"
        values += [found["name"], found["value"]]
    return core.store.rows(f"{select} order by seq desc limit ?", [*values, limit])


def _events(core: Core, row: sqlite3.Row) -> list[sqlite3.Row]:
    return core.store.rows(
        "select kind, due_at from event where seq = ? and route = 'sendgrid' and due_at <= ? order by due_at",
        (row["seq"], core.now()),
    )


def _short(core: Core, row: sqlite3.Row) -> dict[str, Any]:
    kinds = [event["kind"] for event in _events(core, row)]
    status = "not_delivered" if FAILED & {*kinds} else "delivered" if DELIVERED & {*kinds} else "processed"
    last = max([row["accepted_at"], *(event["due_at"] for event in _events(core, row))])
    return {
        "from_email": json.loads(row["detail"])["from"]["email"],
        "msg_id": row["provider_id"],
        "subject": row["title"],
        "to_email": row["recipient"],
        "status": status,
        "opens_count": kinds.count("open") + kinds.count("machine_open"),
        "clicks_count": kinds.count("click"),
        "last_event_time": _instant(last),
    }


def _whole(core: Core, row: sqlite3.Row) -> dict[str, Any]:
    detail, short = json.loads(row["detail"]), _short(core, row)
    events = [{"event_name": "processed", "processed": _instant(row["accepted_at"])}]
    events += [
        {"event_name": each["kind"], "processed": _instant(each["due_at"])}
        for each in _events(core, row)
        if each["kind"] != "processed"
    ]
    kept = {name: short[name] for name in ("from_email", "msg_id", "subject", "to_email", "status")}
    arguments = json.dumps(detail["custom_args"])
    return {**kept, "events": events, "categories": detail["categories"], "unique_args": arguments}


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
