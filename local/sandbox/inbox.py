"""The inbox: every message as its recipient sees it, and what came back."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import textwrap
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.sandbox import pictures, rendering
from local.sandbox.core import Core
from local.sandbox.store import AUDIENCES, CUSTOMERS
from warehouse import settings

PAGE_SIZE = 60
LINE_CHARACTERS = 44
"""How much of a text stands in the list's first line."""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "opened": ("open",),
    "machine": ("machine_open",),
    "clicked": ("click",),
    "failed": ("bounce", "blocked", "dropped", "failed", "undelivered"),
    "left": ("unsubscribe", "stop", "spamreport"),
}
"""What may have come back, in the words of the page's filter: the events that say so."""


def routes(core: Core) -> list[Route]:
    """The inbox under /inbox, and the pictures of its mails."""
    view = View(core)

    async def page(_: Request) -> Response:
        return HTMLResponse(_page(), headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})

    async def summary(_: Request) -> Response:
        return JSONResponse(view.summary())

    async def messages(request: Request) -> Response:
        return JSONResponse(view.messages(request.query_params))

    async def message(request: Request) -> Response:
        row = view.find(request.path_params["seq"])
        return JSONResponse(view.whole(row)) if row else PlainTextResponse("No such message\n", 404)

    async def mail(request: Request) -> Response:
        row = view.find(request.path_params["seq"])
        parts = rendering.parts(core.store, row) if row else {}
        shown = rendering.page(parts.get("text/html") or "<p>This message has no HTML part.</p>")
        return HTMLResponse(shown, headers={"Content-Security-Policy": rendering.CONTENT_POLICY})

    async def picture(request: Request) -> Response:
        product_id = request.path_params["product"]
        words = await asyncio.to_thread(pictures.known_words, product_id)
        headers = {"Cache-Control": "max-age=3600"}
        return Response(pictures.svg(product_id, words), media_type="image/svg+xml", headers=headers)

    return [
        Route("/inbox", page, methods=["GET"]),
        Route("/inbox/summary", summary, methods=["GET"]),
        Route("/inbox/messages", messages, methods=["GET"]),
        Route("/inbox/messages/{seq:int}", message, methods=["GET"]),
        Route("/inbox/messages/{seq:int}/mail", mail, methods=["GET"]),
        Route("/assets/products/{product:str}.svg", picture, methods=["GET"]),
    ]


class View:
    """The store, in the words of the page. Days are days in the shop's zone."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._zone = _zone()

    def find(self, seq: int) -> sqlite3.Row | None:
        """One message, None when there is no such one."""
        rows = self._core.store.rows("select * from message where seq = ?", (seq,))
        return rows[0] if rows else None

    def summary(self) -> dict[str, Any]:
        """Counts of customers' messages and of what came back for them, how many others there are (alerts to the team,
        tests), and the days there are messages of."""
        store, now = self._core.store, self._core.now()
        days: dict[str, Counter[str]] = {}
        audiences: dict[str, Counter[str]] = {audience: Counter() for audience in AUDIENCES}
        hours = store.rows(
            "select cast(accepted_at / 900 as integer) * 900 as moment, channel, audience, count(*) as count"
            " from message group by 1, 2, 3"
        )
        for row in hours:
            day = days.setdefault(self._local(row["moment"]).date().isoformat(), Counter())
            if row["audience"] == CUSTOMERS:
                day[row["channel"]] += row["count"]
            audiences[row["audience"]][row["channel"]] += row["count"]
        channels = audiences[CUSTOMERS]
        answers = {
            (row["channel"], row["kind"]): row["count"]
            for row in store.rows(
                "select channel, kind, count(distinct seq) as count from event join message using (seq)"
                " where due_at <= ? and audience = ? group by 1, 2",
                (now, CUSTOMERS),
            )
        }
        return {
            "last": store.value("select max(seq) from message") or 0,
            "clock": self._local(now).isoformat() if self._core.clock is not None else None,
            "zone": self._zone.key,
            "channels": channels,
            "audiences": audiences,
            "days": [{"day": day, **days[day]} for day in sorted(days, reverse=True)],
            "answers": {
                channel: {
                    word: sum(answers.get((channel, kind), 0) for kind in kinds)
                    for word, kinds in (("delivered", ("delivered",)), *ANSWERS.items())
                }
                for channel in channels
            },
        }

    def messages(self, query: Mapping[str, str]) -> dict[str, Any]:
        """One page of messages, newest first; `query`: channel, audience, day, q, came, offset."""
        where, values = ["true"], list[Any]()
        for column in ("channel", "audience"):
            if query.get(column):
                where.append(f"{column} = ?")
                values.append(query[column])
        if query.get("day"):
            start = datetime.combine(date.fromisoformat(query["day"]), time(), self._zone)
            end = datetime.combine(start.date() + timedelta(days=1), time(), self._zone)
            where.append("accepted_at >= ? and accepted_at < ?")
            values += [start.timestamp(), end.timestamp()]
        for word in (query.get("q") or "").split():
            pattern = "%" + re.sub(r"([%_\\])", r"\\\1", word) + "%"
            where.append(
                r"(recipient like ? escape '\' or title like ? escape '\' or message_id like ? escape '\'"
                r" or provider_id like ? escape '\')"
            )
            values += [pattern] * 4
        if kinds := ANSWERS.get(query.get("came") or ""):
            marks = ", ".join("?" * len(kinds))
            where.append(
                f"exists (select 1 from event where event.seq = message.seq and due_at <= ? and kind in ({marks}))"  # noqa: S608 - question marks
            )
            values += [self._core.now(), *kinds]
        rows = self._core.store.rows(
            f"select * from message where {' and '.join(where)} order by accepted_at desc, seq desc limit ? offset ?",  # noqa: S608 - fixed words, values apart
            (*values, PAGE_SIZE + 1, int(query.get("offset") or 0)),
        )
        return {"messages": [self._brief(row) for row in rows[:PAGE_SIZE]], "more": len(rows) > PAGE_SIZE}

    def _brief(self, row: sqlite3.Row) -> dict[str, Any]:
        detail = json.loads(row["detail"])
        title, preview = row["title"] or "(no subject)", ""
        if row["channel"] == "email":
            preview = rendering.preview(rendering.parts(self._core.store, row))
        elif row["channel"] == "webpush":
            preview = str(detail["notification"].get("body") or "")
            title = title if detail["decrypted"] else "(cannot be decrypted)"
        else:
            title, *rest = textwrap.wrap(row["title"], LINE_CHARACTERS) or [""]
            preview = " ".join(rest)
        return {
            "seq": row["seq"],
            "channel": row["channel"],
            "audience": row["audience"],
            "to": row["recipient"],
            "title": title,
            "preview": preview,
            "at": self._local(row["accepted_at"]).isoformat(),
            "came": sorted({event["kind"] for event in self._events(row["seq"])}),
        }

    def whole(self, row: sqlite3.Row) -> dict[str, Any]:
        """One message with everything the page shows of it."""
        detail = json.loads(row["detail"])
        moment = self._local(row["accepted_at"])
        shown = {
            **self._brief(row),
            "message_id": row["message_id"],
            "provider_id": row["provider_id"],
            "events": [
                {
                    "kind": event["kind"],
                    "at": self._local(event["due_at"]).isoformat(),
                    "state": event["state"],
                    "url": json.loads(event["body"]).get("url"),
                    "reason": _reason(json.loads(event["body"])),
                }
                for event in self._events(row["seq"])
            ],
        }
        if row["channel"] == "email":
            parts = rendering.parts(self._core.store, row)
            shown |= {"from": detail["from"], "text": parts.get("text/plain", ""), "has_html": "text/html" in parts}
            shown["headers"] = rendering.headers(row, format_datetime(moment))
        elif row["channel"] == "sms":
            shown |= {name: detail[name] for name in ("from", "body", "segments", "encoding", "validity_period")}
            shown["characters"] = len(detail["body"])
        else:
            shown |= {name: detail[name] for name in ("notification", "ttl", "topic", "decrypted")}
        return shown

    def _events(self, seq: int) -> list[sqlite3.Row]:
        return self._core.store.rows(
            "select * from event where seq = ? and due_at <= ? order by due_at", (seq, self._core.now())
        )

    def _local(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC).astimezone(self._zone)


def _reason(body: Mapping[str, Any]) -> str:
    return str(body.get("reason") or body.get("response") or body.get("ErrorCode") or "")


def _zone() -> ZoneInfo:
    """The zone of the first campaign file, where there is one: the marketer's own days."""
    for path in sorted(settings.read().campaigns.glob("*.yml")):
        found = re.search(r"^timezone:\s*([A-Za-z_]+/[A-Za-z_/]+)", path.read_text(), re.MULTILINE)
        if found:
            return ZoneInfo(found.group(1))
    return ZoneInfo("UTC")


@cache
def _page() -> str:
    folder = Path(__file__).parent / "page"
    text = (folder / "inbox.html").read_text()
    return text.replace("/*STYLE*/", (folder / "inbox.css").read_text()).replace(
        "/*SCRIPT*/", (folder / "inbox.js").read_text()
    )
