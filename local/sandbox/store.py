"""What the sandbox keeps: accepted messages, what comes back for each, who is suppressed. One SQLite file, one writer.

Writes are committed every tenth of a second, reads go through the same connection: what was accepted is seen at once,
and a thousand requests a second do not wait for the disk. The store outlives the process, not a `reset`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = 2
AUDIENCES = CUSTOMERS, TEAM, TEST = "customers", "team", "test"
TEST_MARK = "[Test] "
"""What `winback send-test` puts before a subject, text, title or sender's name."""

SCHEMA = """
create table content (content_id text primary key, body text not null);
create table message (
    seq integer primary key,
    channel text not null,
    message_id text,            -- ours, as planted by the sender; null where it planted none
    provider_id text not null,  -- the provider's
    request_id text not null,   -- one per HTTP request: an e-mail request carries many messages
    recipient text not null,
    accepted_at real not null,  -- epoch seconds on the sandbox's clock
    received_at real not null,  -- epoch seconds, real
    title text not null,
    content_id text,
    audience text not null,     -- customers, team (an alert), test (`winback send-test`)
    detail text not null        -- JSON: what the inbox needs beside the content
);
create index message_provider on message (provider_id);
create index message_recipient on message (channel, recipient);
create table event (
    event_id integer primary key,
    seq integer not null,
    kind text not null,
    due_at real not null,       -- epoch seconds on the sandbox's clock
    route text not null,        -- sendgrid, twilio, inbound, webpush
    url text,                   -- where it is posted; null: the account's own webhook
    body text not null,         -- JSON
    state text not null default 'due',  -- due -> taken | refused | lost
    attempts integer not null default 0,
    retry_at real not null default 0    -- epoch seconds, real
);
create index event_due on event (due_at) where state = 'due';
create index event_message on event (seq);
create table suppression (channel text, recipient text, reason text, since real, primary key (channel, recipient));
create table meta (name text primary key, value text not null);
"""


@dataclass(frozen=True)
class Planned:
    """Something that will come back for a message at `due_at` (epoch seconds on the sandbox's clock)."""

    kind: str
    due_at: float
    route: str
    body: dict[str, Any]
    url: str | None = None


@dataclass(frozen=True)
class Accepted:
    """One accepted message."""

    channel: str
    message_id: str | None
    provider_id: str
    request_id: str
    recipient: str
    accepted_at: float
    received_at: float
    title: str
    content_id: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    planned: Sequence[Planned] = ()

    @property
    def audience(self) -> str:
        """Whom it is for: an alert to the team carries a notice's id, a test its mark before subject or sender."""
        sender = self.detail.get("from")
        names = (self.title, str(sender.get("name") or "") if isinstance(sender, dict) else "")
        if any(name.startswith(TEST_MARK) for name in names):
            return TEST
        return TEAM if "notice_id" in (self.detail.get("custom_args") or {}) else CUSTOMERS


class Store:
    """The SQLite file, or memory when `path` is None."""

    def __init__(self, path: Path | None = None) -> None:
        self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = off")
        if self._connection.execute("pragma user_version").fetchone()[0] != VERSION:
            self._create()

    def _create(self) -> None:
        for (name,) in self._connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            self._connection.execute(f"drop table {name}")
        self._connection.executescript(SCHEMA)
        self._connection.execute(f"pragma user_version = {VERSION}")
        self._connection.commit()

    def reset(self) -> None:
        """Forgets every message, event and suppression."""
        self._create()

    def commit(self) -> None:
        """Makes what was written durable."""
        self._connection.commit()

    def close(self) -> None:
        """Commits and closes the file."""
        self._connection.commit()
        self._connection.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """The rows of a query, uncommitted writes included."""
        return self._connection.execute(query, values).fetchall()

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first column of a query's first row; None without a row."""
        row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Runs one statement."""
        self._connection.execute(statement, values)

    def execute_many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Runs one statement for many rows."""
        self._connection.executemany(statement, values)

    def keep_content(self, content_id: str, body: dict[str, Any]) -> None:
        """Keeps what the messages of one request share, once."""
        self._connection.execute("insert or ignore into content values (?, ?)", (content_id, json.dumps(body)))

    def add(self, messages: Iterable[Accepted]) -> None:
        """Keeps accepted messages and what will come back for them."""
        first = seq = (self.value("select max(seq) from message") or 0) + 1
        rows, events = [], []
        for message in messages:
            rows.append(
                (
                    *(seq, message.channel, message.message_id, message.provider_id, message.request_id),
                    *(message.recipient, message.accepted_at, message.received_at, message.title, message.content_id),
                    message.audience,
                    json.dumps(message.detail),
                )
            )
            events += [(seq, it.kind, it.due_at, it.route, it.url, json.dumps(it.body)) for it in message.planned]
            seq += 1
        if seq == first:
            return
        self.execute_many("insert into message values (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        self.execute_many("insert into event (seq, kind, due_at, route, url, body) values (?,?,?,?,?,?)", events)

    def suppress(self, channel: str, recipient: str, reason: str, since: float) -> None:
        """Records an opt-out or a hard bounce; the first one counts."""
        self.execute("insert or ignore into suppression values (?, ?, ?, ?)", (channel, recipient, reason, since))

    def unsuppress(self, channel: str, recipient: str) -> None:
        """Takes it back (START)."""
        self.execute("delete from suppression where channel = ? and recipient = ?", (channel, recipient))

    def suppressed(self, channel: str, recipient: str, now: float) -> str | None:
        """Why the provider itself would not deliver to this recipient at `now`, None when it would."""
        reason: str | None = self.value(
            "select reason from suppression where channel = ? and recipient = ? and since <= ?",
            (channel, recipient, now),
        )
        return reason

    def set_meta(self, name: str, value: Any) -> None:
        """Keeps a small setting over restarts."""
        self.execute("insert or replace into meta values (?, ?)", (name, json.dumps(value)))

    def meta(self, name: str, default: Any = None) -> Any:
        """A setting kept by `set_meta`."""
        text = self.value("select value from meta where name = ?", (name,))
        return default if text is None else json.loads(text)

    def receipts(self, since: int = 0) -> Iterator[dict[str, Any]]:
        """Every accepted message after `since`, oldest first, a thousand at a time."""
        while True:
            rows = self.rows(
                "select seq, channel, message_id, provider_id, request_id, recipient, accepted_at, received_at,"
                " audience, detail"
                " from message where seq > ? order by seq limit 1000",
                (since,),
            )
            if not rows:
                return
            for row in rows:
                yield dict(row)
            since = rows[-1]["seq"]
