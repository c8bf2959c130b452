"""Hand-made ledgers for the report tests: every row is written down, so that every number can be counted by hand.

The rows go through the ledger's own guards: a message is planned, then sent, then accepted, as in the real thing.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from reports import read

NEW_YORK = ZoneInfo("America/New_York")
TEMPLATE = "7e" * 32


def at(day: int, hour: int, minute: int = 0, month: int = 10) -> datetime:
    """An instant in 2017, in the shop's zone."""
    return datetime(2017, month, day, hour, minute, tzinfo=NEW_YORK)


def select(query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows as an analyst sees them."""
    with read.analyst() as connection, connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        return list(cursor.execute(query.encode(), values).fetchall())


def on(day: int, month: int = 10) -> date:
    """A day in 2017."""
    return date(2017, month, day)


def winback(**changes: Any) -> dict[str, Any]:
    """The stored form of the win-back campaign, as short as the reports allow."""

    def step(key: str, position: int, **values: Any) -> dict[str, Any]:
        return {
            "key": key, "position": position, "enabled": True, "trigger": "clock", "after_days": None,
            "after_step": None, "event": None, "wait_days": None, "no_purchase_days": None, "step_days": 30,
            "channels": ["email"], "requires": ["consent_email"], "promotion": None, "tag": None,
            "template": "plain", "template_hash": TEMPLATE, **values,
        }  # fmt: skip

    return {
        "campaign": "winback", "title": "We miss you", "mode": "shadow", "enabled": True, "clock": "last_purchase",
        "timezone": "America/New_York", "build_at": "05:00", "send_at": "10:00", "max_late_days": 3, "priority": 10,
        "holdout_percent": 10, "attribution": {"click_days": 5, "open_days": 1, "push_click_hours": 24},
        "shop": {"name": "Riverside Market", "url": "https://shop.example.com"},
        "promotions": {
            "winback_discount10": {"offer": "10% off your next order", "valid_days": 14, "alert_under_days": 14},
            "winback_discount20": {"offer": "20% off and free shipping", "valid_days": 14, "alert_under_days": 14},
        },
        "steps": [
            step("day30", 1, after_days=30),
            step("day30_push", 2, trigger="event", after_step="day30", event="opened", wait_days=3,
                 no_purchase_days=4, channels=["webpush"], requires=[], step_days=33),
            step("day60", 3, after_days=60, channels=["sms", "email"], promotion="winback_discount10"),
            step("day90", 4, after_days=90, promotion="winback_discount20"),
        ],
        **changes,
    }  # fmt: skip


@dataclass
class Scenario:
    """Writes rows as the parts that own them would."""

    connection: psycopg.Connection
    definition_hash: str = ""
    bundle_hash: str = ""
    clocks: dict[uuid.UUID, datetime] = field(default_factory=dict)
    events: int = 0
    contacts: int = 0

    def define(self, body: Mapping[str, Any]) -> None:
        """Stores a campaign and makes it the bundle of the runs that follow."""
        self.definition_hash = _hash(body)
        bundle = {"campaigns": {body["campaign"]: self.definition_hash}}
        self.bundle_hash = _hash(bundle)
        insert = "insert into outbox.definition (hash, kind, body) values (%s, %s, %s) on conflict do nothing"
        self.connection.execute(insert, [self.definition_hash, "campaign", Jsonb(body)])
        self.connection.execute(insert, [self.bundle_hash, "bundle", Jsonb(bundle)])
        self.connection.execute(
            "insert into outbox.template (template_hash, subject) values (%s, 'It has been a while')"
            " on conflict do nothing",
            [TEMPLATE],
        )

    def contact(self, contact_id: str, **values: Any) -> None:
        """A contact with an address of their own that no page may show."""
        self.contacts += 1
        row = {
            "contact_id": contact_id, "email": f"{contact_id}@example.com", "phone": f"+1212555{self.contacts:04}",
            "first_name": "Hermenegildo", "country": "US", "timezone": "America/New_York", "consent_email": True,
            "consent_sms": False, "created_at": at(1, 0, month=1), "updated_at": at(1, 0, month=1), **values,
        }  # fmt: skip
        self._insert("raw.contacts", row)

    def order(self, order_id: str, contact_id: str, ordered_at: datetime, total: str = "20.00", **values: Any) -> None:
        """An order; completed and in USD unless said otherwise."""
        row = {
            "order_id": order_id, "contact_id": contact_id, "ordered_at": ordered_at, "status": "completed",
            "total": total, "currency": "USD", "updated_at": ordered_at, **values,
        }  # fmt: skip
        self._insert("raw.orders", row)

    def codes(self, promotion: str, codes: Sequence[str], loaded_at: datetime | None = None) -> None:
        """Codes of a pool."""
        for code in codes:
            row = {"promotion": promotion, "code": code, "loaded_at": loaded_at or at(1, 0)}
            self._insert("raw.coupon_codes", row)

    def run(self, day: date, state: str = "enqueued", mode: str = "simulated", **values: Any) -> uuid.UUID:
        """A run of one day, led to `state` by the way the guard allows."""
        run_id = uuid.uuid4()
        clock = datetime(day.year, day.month, day.day, 5, tzinfo=NEW_YORK)
        self.clocks[run_id] = clock
        self._insert(
            "outbox.run",
            {
                "run_id": run_id, "mode": mode, "clock": clock, "definition_hash": self.bundle_hash,
                "target": "prod", "holder": "test", "lease_until": clock, "created_at": clock,
                "verdict": Jsonb(values.pop("verdict", {})), **values,
            },
        )  # fmt: skip
        self._insert("outbox.run_day", {"run_id": run_id, "as_of": day, "clock": clock})
        way = {"enqueued": ["built", "validated", "enqueued"], "failed": ["failed"], "building": []}[state]
        for step in way:
            self.connection.execute("update outbox.run set state = %s where run_id = %s", [step, run_id])
        return run_id

    def decide(  # noqa: PLR0917
        self,
        run: uuid.UUID,
        day: date,
        contact_id: str,
        step: str,
        decision: str,
        reason: str | None = None,
        **values: Any,
    ) -> None:
        """A row of the archive of decisions."""
        row = {
            "run_id": run, "as_of": day, "contact_id": contact_id, "campaign": "winback", "step": step,
            "episode_on": day - timedelta(days=30), "due_on": day, "mode": "live", "decision": decision,
            "reason": reason, "reasons": [reason] if reason else [], "seen": Jsonb(values.pop("seen", {})),
            "definition_hash": self.definition_hash, "archived_at": self.clocks[run], **values,
        }  # fmt: skip
        self._insert("outbox.decision", row)

    def grant(self, promotion: str, code: str, contact_id: str, step: str, day: date, **values: Any) -> uuid.UUID:
        """A code given to a contact."""
        grant_id = uuid.uuid4()
        granted_at = datetime(day.year, day.month, day.day, 5, tzinfo=NEW_YORK)
        row = {
            "id": grant_id, "promotion": promotion, "code": code, "contact_id": contact_id, "campaign": "winback",
            "episode_on": day - timedelta(days=30), "step": step, "as_of": day, "granted_at": granted_at,
            "valid_until": granted_at + timedelta(days=14), **values,
        }  # fmt: skip
        self._insert("outbox.coupon_grant", row)
        self._insert(
            "outbox.contact_event",
            {"contact_id": contact_id, "name": "coupon_assigned", "occurred_at": granted_at, "caused_by": grant_id},
        )
        return grant_id

    def message(
        self, run: uuid.UUID, day: date, contact_id: str, step: str = "day30", *, channels: Sequence[str] = ("email",),
        state: str = "accepted", when: datetime | None = None, reason: str | None = None,
        grant: uuid.UUID | None = None, episode_on: date | None = None, error_code: str | None = None,
        address_hash: bytes | None = None,
    ) -> uuid.UUID:  # fmt: skip
        """A message, led to `state` with the attempts that lead there."""
        message_id = uuid.uuid4()
        when = when or datetime(day.year, day.month, day.day, 10, tzinfo=NEW_YORK)
        self._insert(
            "outbox.message",
            {
                "id": message_id, "run_id": run, "campaign": "winback", "contact_id": contact_id,
                "episode_on": episode_on or day - timedelta(days=30), "step": step, "step_days": 30, "as_of": day,
                "due_on": day, "mode": "live", "channels": list(channels), "template_hash": TEMPLATE,
                "merge_fields": Jsonb({}), "coupon_grant_id": grant, "consent": Jsonb({}),
                "definition_hash": self.definition_hash, "not_before": when, "not_after": when + timedelta(days=1),
                "planned_at": self.clocks[run],
            },
        )  # fmt: skip
        move = (
            "update outbox.message set state = %s, reason = %s, accepted_at = %s, accepted_channel = %s, closed_at = %s"
            " where id = %s"
        )
        if state in ("skipped", "expired"):
            self.connection.execute(move, [state, reason, None, None, when, message_id])
        elif state != "planned":
            self.connection.execute(move, ["sending", None, None, None, None, message_id])
            outcome = {"accepted": "accepted", "rejected": "rejected", "in_doubt": "unknown", "sending": "open"}[state]
            attempt = {
                "message_id": message_id, "attempt_no": 1, "channel": channels[0], "worker": "test", "opened_at": when,
                "lease_until": when, "address_hash": address_hash,
            }  # fmt: skip
            self._insert("outbox.attempt", attempt)
            if outcome != "open":
                self.connection.execute(
                    "update outbox.attempt set outcome = %s, closed_at = %s, error_code = %s where message_id = %s",
                    [outcome, when, error_code, message_id],
                )
            if state == "accepted":
                self.connection.execute(move, [state, None, when, channels[0], when, message_id])
            elif state != "sending":
                self.connection.execute(move, [state, reason, None, None, when, message_id])
        return message_id

    def delivery(self, message: uuid.UUID, kind: str, when: datetime, channel: str = "email") -> None:
        """What a carrier did."""
        self._event("events.delivery_event", message, kind, when, channel)

    def engagement(
        self, message: uuid.UUID, kind: str, when: datetime, channel: str = "email", *, machine: bool = False
    ) -> None:
        """What a person did, or a machine in front of them."""
        self._event("events.engagement_event", message, kind, when, channel, is_machine=machine)

    def preference(self, message: uuid.UUID, kind: str, when: datetime, channel: str = "email") -> None:
        """What a person asked for."""
        self.events += 1
        row = {
            "event_key": f"preference-{self.events}", "message_id": message, "channel": channel, "kind": kind,
            "source": "one_click", "occurred_at": when, "received_at": when,
        }  # fmt: skip
        self._insert("events.preference", row)

    def notice(self, kind: str, subject: str, day: date, title: str) -> None:
        """An alert that was planned."""
        row = {
            "kind": kind, "subject": subject, "on_day": day, "title": title, "body": "What to do.",
            "raised_at": datetime(day.year, day.month, day.day, 5, 1, tzinfo=NEW_YORK),
        }  # fmt: skip
        self._insert("outbox.notice", row)

    def tag(self, contact_id: str, tag: str, when: datetime, cause: uuid.UUID) -> None:
        """A tag that was added."""
        self._insert("outbox.contact_tag", {"contact_id": contact_id, "tag": tag, "added_at": when, "caused_by": cause})

    def _event(self, table: str, message: uuid.UUID, kind: str, when: datetime, channel: str, **values: Any) -> None:
        self.events += 1
        row = {
            "event_key": f"event-{self.events}", "call_id": uuid.uuid4(), "provider": "sandbox", "channel": channel,
            "message_id": message, "kind": kind, "occurred_at": when, "received_at": when, **values,
        }  # fmt: skip
        self._insert(table, row)

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        statement = f"insert into {table} ({names}) values ({marks})"  # noqa: S608 - the test's own words
        self.connection.execute(statement.encode(), list(row.values()))


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
