"""Another system's stop list: addresses that it may not write to, honoured here.

A CSV as `winback export suppressions` writes it, or with `channel` and `address` alone. Addresses go into a temporary
table, are hashed there, and are gone with the transaction; no error repeats one.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from outbox.imports import TOLD, lines_named
from outbox.sql import ledger, queries
from outbox.suppressions import COLUMNS
from warehouse.errors import WinbackError, unreadable

NEEDED = ("channel", "address")
PATTERNS = {"email": re.compile(r"[^\s@]+@[^\s@]+"), "sms": re.compile(r"\+[1-9]\d{6,14}")}
"""What an address looks like at least; phones in E.164, as the raw contract has them."""
MISTAKES = {
    "cells": "it has more cells than the header",
    "channel": f"channel is none of {', '.join(PATTERNS)}",
    "email": "address is no e-mail address such as ann@example.com",
    "sms": "address is no phone in E.164 such as +12025550123",
    "since": "since is no time such as 2026-03-31T12:00:00+00:00 (leave it empty where it is not known)",
    "until": "until is no time such as 2026-03-31T12:00:00+00:00 (leave it empty: for good)",
}
NOTHING = "Nothing was suppressed; correct the file and give it again."

_COPY = "copy stop_line (channel, address, since, until) from stdin"


@dataclass(frozen=True)
class Honoured:
    """What one list came to."""

    lines: int
    """Lines of the file, the header not counted."""
    addresses: int
    """Different addresses among them, by channel."""
    over: int
    """Of these, those whose time is over: not suppressed."""
    suppressed: int
    """Of these, those that are suppressed by it now, and were not, or not for so long, by an earlier list."""


def honour(path: Path, *, by: str, at: datetime) -> Honoured:
    """Suppresses every address of the file from its `since` on (none: `at`); all of it or nothing.

    `by` is kept as the source. Giving a file twice changes nothing. Raises `WinbackError` naming every kind of mistake
    and the first `TOLD` lines of each.
    """
    with closing(ledger()) as connection, connection.transaction():
        queries.make_stop_table(connection)
        lines = 0
        try:
            with path.open(newline="", encoding="utf-8-sig") as file, connection.cursor().copy(_COPY) as copy:
                for row in _rows(path, csv.reader(file, strict=True)):
                    copy.write_row(row)
                    lines += 1
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise unreadable(path, error, NOTHING) from None  # the error itself may quote a line
        if not lines:
            raise WinbackError(f"{path} holds no line below its header. {NOTHING}")
        told = queries.append_stops(connection, source=by, at=at)
    return Honoured(lines, told["addresses"], told["over"], told["suppressed"])


def _rows(path: Path, reader: Any) -> Iterator[tuple[str, str, datetime | None, datetime | None]]:
    """(channel, address, since, until); raises `WinbackError` at the end where any line holds a mistake."""
    header = [cell.strip().lower() for cell in next(reader, [])]
    if not set(NEEDED) <= set(header) or set(header) - set(COLUMNS) or len(set(header)) != len(header):
        raise WinbackError(
            f"{path}, line 1: expected a header with {', '.join(NEEDED)}, and where known others of "
            f"{', '.join(COLUMNS)}. {NOTHING}"
        )
    mistakes: defaultdict[str, list[int]] = defaultdict(list)
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        channel, address = row.get("channel", "").lower(), row.get("address", "")
        times = {name: _time(row.get(name, "")) for name in ("since", "until")}
        wrong = [name for name, found in times.items() if found is False]
        if len(cells) > len(header):
            wrong.append("cells")
        if channel not in PATTERNS:
            wrong.append("channel")
        elif not PATTERNS[channel].fullmatch(address):
            wrong.append(channel)
        for name in wrong:
            mistakes[name].append(reader.line_num)
        if not mistakes:
            yield channel, address, times["since"] or None, times["until"] or None
    if mistakes:
        told = [f"  {lines_named(found[:TOLD], len(found))}: {MISTAKES[name]}" for name, found in mistakes.items()]
        raise WinbackError("\n".join([f"{path} holds mistakes. {NOTHING}", *told]))


def _time(text: str) -> datetime | Literal[False] | None:
    """None where there is none, False where it is no time; without a zone it is UTC."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return False
    return found if found.tzinfo else found.replace(tzinfo=UTC)
