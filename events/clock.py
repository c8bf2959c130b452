"""The business time of what carries no time of its own.

Live, it is now. With a connection marked as a sandbox it is the sandbox's simulated clock: told in `X-Sandbox-Clock`,
or asked for at `GET <sandbox>/control/clock`. Where the mark is missing, the header is ignored.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from warehouse.connections import Connection

HEADER = "x-sandbox-clock"
ASK_SECONDS = 2.0


def business_time(
    connection: Connection | None, headers: Mapping[str, str], now: datetime, *, ask: bool = True
) -> datetime:
    """Aware. `ask`: whether the sandbox may be asked when no header tells."""
    if connection is None or not connection.sandbox:
        return now
    told = _read(headers.get(HEADER))
    if told is None and ask:
        told = _asked(connection)
    return told or now


def _asked(connection: Connection) -> datetime | None:
    host = str(connection.host or connection.extra.get("sandbox_host") or "")
    parts = urlsplit(host if "://" in host else f"http://{host}")
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{parts.scheme}://{parts.netloc}/control/clock", timeout=ASK_SECONDS) as answer:
            document = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return _read(document.get("clock")) if isinstance(document, dict) else None


def _read(value: object) -> datetime | None:
    """ISO 8601 with a zone, or Unix seconds."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else None
