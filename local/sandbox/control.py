"""The control API: clock, faults, habits, receipts. For tests, experiments and the `winback sandbox` command."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.sandbox.core import Core
from local.sandbox.fates import Habits
from local.sandbox.store import AUDIENCES
from local.sandbox.webhooks import Webhooks

MAX_WAIT_SECONDS = 20.0


def routes(core: Core, webhooks: Webhooks, instance: str) -> list[Route]:
    """The control API under /control."""

    async def health(_: Request) -> Response:
        return JSONResponse({"instance": instance, "service": "winback sandbox"})

    async def status(_: Request) -> Response:
        return JSONResponse(summary(core, webhooks))

    async def read_clock(_: Request) -> Response:
        simulated = core.moment().isoformat() if core.clock is not None else None
        return JSONResponse({"clock": simulated, "now": core.moment().isoformat()})

    async def clock(request: Request) -> Response:
        text = (await _document(request)).get("now")
        try:
            instant = None if text is None else datetime.fromisoformat(text)
        except (ValueError, TypeError):
            return _wrong("now is an ISO 8601 instant with its offset, or null for real time")
        if instant is not None and instant.tzinfo is None:
            return _wrong("now has no offset: write 2017-10-01T14:00:00+00:00")
        core.set_clock(instant)
        return await read_clock(request)

    async def read_faults(_: Request) -> Response:
        return JSONResponse({"faults": core.faults.listed()})

    async def change_faults(request: Request) -> Response:
        try:
            document = await _document(request)
            if request.method == "POST":
                core.faults.add(document)
            else:
                core.faults.replace(document.get("faults", []), int(document.get("seed", 1)))
        except (ValueError, TypeError, AttributeError) as error:
            return _wrong(str(error))
        return JSONResponse({"faults": core.faults.listed()})

    async def clear_faults(_: Request) -> Response:
        core.faults.replace([])
        return JSONResponse({"faults": []})

    async def habits(request: Request) -> Response:
        document = await _document(request)
        for channel, rates in (document.get("rates") or {}).items():
            if unknown := set(rates) - set(core.habits.rates.get(channel, {})):
                return _wrong(f"no such rate for {channel}: {', '.join(sorted(unknown))}")
            core.habits.rates[channel].update(rates)
        core.habits.people.update(document.get("people") or {})
        core.habits.seed = int(document.get("seed", core.habits.seed))
        core.store.set_meta("habits", asdict(core.habits))
        core.keep_content = bool(document.get("keep_content", core.keep_content))
        return JSONResponse({"seed": core.habits.seed, "rates": core.habits.rates})

    async def receipts(request: Request) -> Response:
        since = int(request.query_params.get("since") or 0)
        return StreamingResponse(_lines(core, since), media_type="application/x-ndjson")

    async def drain(request: Request) -> Response:
        until = time.monotonic() + min(float(request.query_params.get("seconds") or 0), MAX_WAIT_SECONDS)
        while webhooks.is_behind() and time.monotonic() < until:
            await asyncio.sleep(0.02)
        return JSONResponse({"pending": webhooks.pending()})

    async def reset(_: Request) -> Response:
        core.store.reset()
        core.habits = Habits()
        core.faults.replace([])
        core.set_clock(None)
        return JSONResponse(summary(core, webhooks))

    return [
        Route("/health", health),
        Route("/status", status),
        Route("/clock", read_clock, methods=["GET"]),
        Route("/clock", clock, methods=["PUT"]),
        Route("/faults", read_faults, methods=["GET"]),
        Route("/faults", change_faults, methods=["PUT", "POST"]),
        Route("/faults", clear_faults, methods=["DELETE"]),
        Route("/habits", habits, methods=["PUT"]),
        Route("/receipts", receipts),
        Route("/drain", drain, methods=["POST"]),
        Route("/reset", reset, methods=["POST"]),
    ]


def summary(core: Core, webhooks: Webhooks) -> dict[str, Any]:
    """Counts for a person: accepted by channel and by audience, events by state, the clock, the faults in force."""
    counts = core.store.rows("select audience, channel, count(*) as count from message group by audience, channel")
    accepted: Counter[str] = Counter()
    audiences: dict[str, Counter[str]] = {audience: Counter() for audience in AUDIENCES}
    for row in counts:
        accepted[row["channel"]] += row["count"]
        audiences[row["audience"]][row["channel"]] += row["count"]
    events = core.store.rows("select state, count(*) as count from event group by state")
    return {
        "accepted": accepted,
        "audiences": audiences,
        "events": {row["state"]: row["count"] for row in events},
        "pending": webhooks.pending(),
        "clock": core.moment().isoformat() if core.clock is not None else None,
        "faults": core.faults.listed(),
        "events_url": core.events_url,
    }


async def _document(request: Request) -> dict[str, Any]:
    raw = await request.body()
    document = json.loads(raw) if raw else {}
    return document if isinstance(document, dict) else {}


def _wrong(message: str) -> Response:
    return JSONResponse({"error": message}, 400)


async def _lines(core: Core, since: int) -> AsyncIterator[str]:
    for count, receipt in enumerate(core.store.receipts(since)):
        detail = json.loads(receipt.pop("detail"))
        for name in ("accepted_at", "received_at"):
            receipt[name] = datetime.fromtimestamp(receipt[name], UTC).isoformat()
        if receipt["channel"] == "webpush":
            receipt["decrypted"] = detail["decrypted"]
        yield json.dumps(receipt) + "\n"
        if count % 500 == 499:
            await asyncio.sleep(0)
