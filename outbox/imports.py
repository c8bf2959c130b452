"""History: the steps that another tool sent before Winback went live, so that nobody gets them twice.

They lie in `outbox.imported_send`, apart from messages: nothing about them was decided, rendered or consented to by us.
The decision (`already_messaged`), the freezing and the claim respect them as they do a message.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from outbox.sql import ledger, queries
from warehouse.connect import GRANT_LOCK, Role
from warehouse.errors import WinbackError, unreadable

NEEDED = ("contact_id", "campaign", "step", "sent_on")
OPTIONAL = ("channel", "episode_on")
TOLD = 10
"""How many lines with one mistake are named."""
STRIDE = 5_000
"""Rows between two signs of progress."""
KEY = "^[a-z][a-z0-9_-]{0,39}$"
"""What an error may repeat of a file: where columns shifted, anything else may be an address."""
NOTHING = "Nothing was imported; correct the file and import it again."

_COPY = "copy import_line (line, contact_id, campaign, step, sent_on, channel, episode_on) from stdin"
_STRANGERS = """
select count(*), coalesce((array_agg(l.line order by l.line))[1:%s::integer], '{{}}')
from import_line l
where not exists (select from {} c where c.contact_id = l.contact_id)
"""
_WORDS = {
    "no_contact": "contact_id is empty",
    "unknown_campaign": "campaign: {value}; there are {campaigns}",
    "unknown_step": "step: {value}; there are {steps}",
    "bad_sent_on": "sent_on is no day such as 2026-03-31",
    "future": "sent_on lies in the future",
    "bad_episode_on": "episode_on is no day such as 2026-03-31 (leave it empty where it is not known)",
    "episode_after": "episode_on lies after sent_on: it is the day the contact's clock started",
    "unknown_channel": "channel: {value}; there are email, sms and webpush (or leave it empty)",
}


@dataclass(frozen=True)
class Imported:
    """What one import came to."""

    lines: int
    """Lines of the file, the header not counted."""
    added: int
    """Steps that are marked now and were not before."""
    already_there: int
    """Steps of the file that an earlier import had marked."""
    repeated: int
    """Lines that name a step of another line."""
    unknown_contacts: int
    """Lines whose contact `raw.contacts` does not have. They are kept: the contact may be loaded later."""
    unknown_lines: Sequence[int]
    """The first `TOLD` of them."""


def steps_of(documents: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The steps a file may name, from the campaigns' documents: a renamed one by its former key, too."""
    return [
        {"campaign": campaign, "step": name, "key": step["key"], "step_days": step["step_days"]}
        for campaign, document in documents.items()
        for step in document["steps"]
        for name in dict.fromkeys([step["key"], step.get("renamed_from") or step["key"]])
    ]


def import_history(
    path: Path,
    steps: Sequence[Mapping[str, Any]],
    people: tuple[str, str],
    progress: Callable[[int], None] = lambda rows: None,
) -> Imported:
    """Marks the steps of a CSV file as sent, all of it or nothing; reading it twice changes nothing.

    `steps` comes from `steps_of`, `people` is (schema, table) of the contacts; `progress` hears of newly read rows.
    Where the file does not say when the episode began, that is the day of sending less the step's days; an episode that
    overlaps it counts as the same, so that a tool that sent some days late is understood.

    Raises `WinbackError` naming every mistake and the first `TOLD` lines of each.
    """
    with closing(ledger()) as connection, connection.transaction():
        queries.take_grant_lock(connection, lock=GRANT_LOCK)
        queries.make_import_table(connection)
        lines = _copy(connection, path, progress)
        _refuse_problems(connection, path, steps)
        unknown, first = _unknown_people(connection, people)
        told = queries.append_imports(connection, steps=json.dumps(list(steps)), source=path.name)
    return Imported(
        lines, told["added"], told["steps"] - told["added"], lines - told["steps"], unknown, tuple(first or ())
    )


def _copy(connection: psycopg.Connection, path: Path, progress: Callable[[int], None]) -> int:
    """The file into the temporary table; returns how many lines it has."""
    count = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file, connection.cursor().copy(_COPY) as copy:
            for row in _rows(path, csv.reader(file, strict=True)):
                copy.write_row(row)
                count += 1
                if count % STRIDE == 0:
                    progress(STRIDE)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error, NOTHING) from None  # the error itself may quote a line
    progress(count % STRIDE)
    if not count:
        raise WinbackError(f"{path} holds no line below its header. {NOTHING}")
    return count


def _rows(path: Path, reader: Any) -> Iterator[tuple[int, *tuple[str | None, ...]]]:
    """(line, contact_id, campaign, step, sent_on, channel, episode_on); None for what is empty."""
    header = [cell.strip().lower() for cell in next(reader, [])]
    wrong = [name for name in NEEDED if name not in header]
    unknown = [name for name in header if name not in (*NEEDED, *OPTIONAL)]
    if wrong or unknown or len(set(header)) != len(header):
        raise WinbackError(
            f"{path}, line 1: expected a header with {', '.join(NEEDED)} and, where known, {', '.join(OPTIONAL)}; "
            f"found {', '.join(_column(*each) for each in enumerate(header, 1)) or 'nothing'}. {NOTHING}"
        )
    places = [header.index(name) if name in header else None for name in (*NEEDED, *OPTIONAL)]
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header) or any("\0" in cell for cell in row):
            raise WinbackError(
                f"{path}, line {reader.line_num}: {len(row)} cells where the header has {len(header)}, or a character "
                f"that is no text. Put quotes around a cell with a comma. {NOTHING}"
            )
        yield reader.line_num, *(row[place].strip() or None if place is not None else None for place in places)


def _column(number: int, name: str) -> str:
    """A column of the header as an error names it: without its words where they may be a line of the file."""
    return name if re.match(KEY, name) else f"column {number} (no column's name)"


def _told(value: str | None) -> str:
    """An unknown value as an error names it; None stands for one that is not repeated."""
    if value is None:
        return "a value that is no key, and may be personal, so it is not shown (did columns shift?)"
    return f"there is no {value!r}" if value else "empty"


def _refuse_problems(connection: psycopg.Connection, path: Path, steps: Sequence[Mapping[str, Any]]) -> None:
    latest = (datetime.now(UTC) + timedelta(hours=14)).date()  # where the day begins first
    found = list(
        queries.import_problems(
            connection, steps=json.dumps([dict(step) for step in steps]), today=latest, told=TOLD, key=KEY
        )
    )
    if not found:
        return
    listed = {
        "campaigns": ", ".join(dict.fromkeys(step["campaign"] for step in steps)) or "none",
        "steps": ", ".join(f"{step['campaign']} {step['step']}" for step in steps) or "none",
    }
    sentences = [
        f"  {lines_named(row['first_lines'], row['lines'])}: "
        f"{_WORDS[row['kind']].format(value=_told(row['value']), **listed)}"
        for row in found[:TOLD]
    ]
    if (more := len(found) - TOLD) > 0:
        sentences.append(f"  and {more:,} more kinds of mistake")
    raise WinbackError("\n".join([f"{path} holds mistakes. {NOTHING}", *sentences]))


def _unknown_people(connection: psycopg.Connection, people: tuple[str, str]) -> tuple[int, list[int]]:
    """How many lines name a contact that nobody knows, and the first of them: asked as the role that reads contacts."""
    queries.share_import_table(connection)
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(Role.DBT.value)))
    try:
        row = connection.execute(sql.SQL(_STRANGERS).format(sql.Identifier(*people)), [TOLD]).fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable):
        raise WinbackError(
            f"{'.'.join(people)} cannot be read by {Role.DBT.value}, so nobody can tell whose history this is. "
            "`winback ready --as-of DAY` says what is missing. Nothing was imported."
        ) from None
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(Role.SENDER.value)))
    return row if row else (0, [])


def lines_named(first: Sequence[int], count: int) -> str:
    """The first lines of `count`, in words: `line 3`, `lines 3 and 7`, `lines 3, 7 and 198 more`."""
    numbers = [str(number) for number in first]
    *most, last = [*numbers, f"{count - len(first):,} more"] if count > len(first) else numbers
    return f"{'line' if count == 1 else 'lines'} {', '.join(most)} and {last}" if most else f"line {last}"
