"""A built run by hand that the gate lets pass, one contact for each thing it looks at. Tests plant a fault each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from campaigns import definition
from expectations import gate, suites, volume
from expectations.suites import DECISIONS, REQUESTS, Judged
from tests.databases import created
from tests.integration.handoff_stub import HANDOFF
from warehouse import settings
from warehouse.connect import Role, connect

DAY = date(2017, 10, 1)
CLOCK = datetime(2017, 10, 1, 9, tzinfo=UTC)
"""05:00 in New York."""
SEND_AT = datetime(2017, 10, 1, 14, tzinfo=UTC)
LONG_AGO = datetime(2017, 1, 1, tzinfo=UTC)

MODELS = """
create schema staging;
create view staging.stg_raw__contacts as
select contact_id, email, phone, consent_email as has_email_consent, consent_sms as has_sms_consent, updated_at
from raw.contacts;
create view staging.stg_raw__orders as select order_id, contact_id, status, ordered_at from raw.orders;
create view staging.stg_raw__coupon_codes as select promotion, code, expires_at from raw.coupon_codes;
create table cohorts.dormant_at_30 (as_of date, contact_id text);
create table cohorts.dormant_at_60 (as_of date, contact_id text);
create table cohorts.dormant_at_90 (as_of date, contact_id text);
create schema customers;
create table customers.int_person_members (contact_id text, member_contact_id text);
grant usage on schema staging, customers, cohorts, allocations, handoff to winback_dbt;
grant select on all tables in schema staging, customers, cohorts, allocations, handoff to winback_dbt;
"""


@dataclass
class Built:
    """The run, and the hand-written rows behind it."""

    owner: psycopg.Connection
    run_id: uuid.UUID
    body: Mapping[str, Any]
    definition_hash: str

    def step(self, key: str) -> Mapping[str, Any]:
        """A step of the campaign's document."""
        return next(step for step in self.body["steps"] if step["key"] == key)

    def contact(self, contact_id: str, **changes: Any) -> None:
        """A contact who agreed to everything long ago."""
        number = self.owner.execute("select count(*) from raw.contacts").fetchone()
        assert number is not None
        row = {
            "contact_id": contact_id, "email": f"{contact_id}@example.com", "phone": f"+12125550{number[0]:03}",
            "consent_email": True, "consent_sms": True, "created_at": LONG_AGO, "updated_at": LONG_AGO, **changes,
        }  # fmt: skip
        self._insert("raw.contacts", row)

    def bought(self, contact_id: str, days_ago: int) -> None:
        """A purchase at noon of that day, in UTC."""
        at = datetime(2017, 10, 1, 16, tzinfo=UTC) - timedelta(days=days_ago)
        row = {"order_id": f"{contact_id}-{days_ago}", "contact_id": contact_id, "ordered_at": at}
        self._insert("raw.orders", {**row, "status": "completed", "total": 10, "currency": "USD", "updated_at": at})

    def quiet(self, contact_id: str, days: int) -> None:
        """A purchase that many days ago, and a place in that cohort."""
        self.bought(contact_id, days)
        self._insert(f"cohorts.dormant_at_{days}", {"as_of": DAY, "contact_id": contact_id})

    def decide(self, contact_id: str, step: str, days: int, **changes: Any) -> None:
        """A decision, to send unless said otherwise."""
        row = {
            "run_id": self.run_id, "as_of": DAY, "contact_id": contact_id, "campaign": "winback", "step": step,
            "episode_on": DAY - timedelta(days=days), "due_on": DAY, "mode": "live", "decision": "send", "reason": None,
            "reasons": [], "seen": Jsonb({"person_id": contact_id}), "definition_hash": self.definition_hash, **changes,
        }  # fmt: skip
        self._insert("cohorts.fct_decisions", row)

    def request(self, contact_id: str, step: str, days: int, code: str | None = None, **changes: Any) -> None:
        """A request as the step's definition wants it."""
        body = self.step(step)
        row = {
            "run_id": self.run_id, "as_of": DAY, "campaign": "winback", "step": step, "contact_id": contact_id,
            "episode_on": DAY - timedelta(days=days), "step_days": body["step_days"], "due_on": DAY, "mode": "live",
            "channels": body["channels"], "template_hash": body["template_hash"], "promotion": body["promotion"],
            "coupon_code": code, "valid_until": SEND_AT + timedelta(days=14) if code else None, "tag": body["tag"],
            "contact_event": body["contact_event"], "consent": Jsonb({}), "definition_hash": self.definition_hash,
            "merge_fields": Jsonb(dict.fromkeys(body["variables"], "said")),
            "not_before": SEND_AT, "not_after": SEND_AT + timedelta(days=1), **changes,
        }  # fmt: skip
        self._insert("handoff.send_requests", row)
        if code:
            kept = ("run_id", "promotion", "contact_id", "campaign", "episode_on", "step", "as_of", "valid_until")
            self._insert("allocations.coupon_allocations", {"code": code, **{name: row[name] for name in kept}})

    def said(self, contact_id: str, step: str, days: int, **changes: Any) -> uuid.UUID:
        """An earlier message that was accepted three days before the clock."""
        values = {
            "id": uuid.uuid4(), "run_id": self.run_id, "campaign": "winback", "contact_id": contact_id,
            "episode_on": DAY - timedelta(days=days), "step": step, "step_days": 30, "as_of": DAY - timedelta(days=3),
            "due_on": DAY - timedelta(days=3), "mode": "live", "channels": ["email"],
            "template_hash": self.body["steps"][0]["template_hash"], "merge_fields": Jsonb({}), "consent": Jsonb({}),
            "definition_hash": self.definition_hash, "not_before": LONG_AGO, "not_after": CLOCK, "planned_at": LONG_AGO,
            **changes,
        }  # fmt: skip
        self._insert("outbox.message", values)
        self.owner.execute("update outbox.message set state = 'sending' where id = %s", [values["id"]])
        self.owner.execute(
            "update outbox.message set state = 'accepted', accepted_at = %s, accepted_channel = 'email' where id = %s",
            [CLOCK - timedelta(days=3), values["id"]],
        )
        message_id: uuid.UUID = values["id"]
        return message_id

    def insert(self, table: str, **row: Any) -> None:
        """One row of any table."""
        self._insert(table, row)

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        names, holes = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        self.owner.execute(f"insert into {table} ({names}) values ({holes})", dict(row))  # noqa: S608


def build(owner: psycopg.Connection, *extra: Mapping[str, Any]) -> Built:
    """A built run of the real campaign (live mode), and of the documents in `extra`; nothing in it is wrong."""
    owner.execute(HANDOFF + MODELS)
    bundle = definition.load_all(settings.read().home / "campaigns")
    body = {**bundle.campaigns["winback"].document(), "mode": "live"}
    documents = [body, *extra]
    hashes = {document["campaign"]: definition.hash_of(document) for document in documents}
    insert = "insert into outbox.definition (hash, kind, body) values (%s, %s, %s)"
    for document in documents:
        owner.execute(insert, [hashes[document["campaign"]], "campaign", Jsonb(document)])
    owner.execute(insert, ["bundle", "bundle", Jsonb({"campaigns": hashes})])
    for template_hash in bundle.templates:
        owner.execute("insert into outbox.template (template_hash) values (%s)", [template_hash])
    row = owner.execute(
        "insert into outbox.run (mode, clock, definition_hash, target, holder, lease_until)"
        " values ('live', %s, 'bundle', 'prod', 'test', now() + interval '1 hour') returning run_id",
        [CLOCK],
    ).fetchone()
    assert row is not None
    run_id: uuid.UUID = row[0]
    owner.execute("insert into outbox.run_day (run_id, as_of, clock) values (%s, %s, %s)", [run_id, DAY, CLOCK])
    it = Built(owner, run_id, body, hashes["winback"])
    _fill(it)
    owner.execute("update outbox.run set state = 'built' where run_id = %s", [run_id])
    owner.commit()
    return it


def _fill(it: Built) -> None:
    for code, promotion in (("TEN-1", "winback_discount10"), ("TWENTY-1", "winback_discount20")):
        it.insert("raw.coupon_codes", promotion=promotion, code=code, loaded_at=LONG_AGO)
    for contact_id, step, days, code in (
        ("mailed", "day30", 30, None),
        ("texted", "day60", 60, "TEN-1"),
        ("offered", "day90", 90, "TWENTY-1"),
    ):
        it.contact(contact_id)
        it.quiet(contact_id, days)
        it.decide(contact_id, step, days)
        it.request(contact_id, step, days, code)
    it.contact("silent", consent_email=False)
    it.quiet("silent", 30)
    it.decide("silent", "day30", 30, decision="skip", reason="no_email_consent")
    it.contact("drawn")  # a place of 7.99 in the draw, below the 10 that are held out
    it.quiet("drawn", 30)
    it.decide("drawn", "day30", 30, decision="holdout", reason="holdout")
    it.contact("opener")
    it.bought("opener", 33)
    it.insert(
        "raw.web_push_subscriptions",
        endpoint="https://push.example.com/1", contact_id="opener", p256dh="key", auth="auth", subscribed_at=LONG_AGO,
    )  # fmt: skip
    it.said("opener", "day30", 33)
    it.decide("opener", "day30_push", 33)
    it.request("opener", "day30_push", 33)


@contextmanager
def day_of_its_own(postgres: str, template_database: str) -> Iterator[Built]:
    """One database with the day in it, for tests that commit nothing."""
    with created(postgres, "gate", template=template_database) as url, connect(Role.OWNER, url=url) as owner:
        yield build(owner)


def broken(it: Built, *, live: bool = True) -> set[str]:
    """The rules that do not hold, asked in the test's own transaction."""
    return _broken(it.owner, Judged(it.run_id, live, CLOCK, [DAY], it.definition_hash, it.body))


def broken_rules(run_id: uuid.UUID) -> set[str]:
    """The rules that do not hold for a run of one campaign that dbt has built."""
    with connect(Role.DBT, autocommit=True) as connection:
        (judged,) = gate.judged(connection, run_id)
        return _broken(connection, judged)


def _broken(connection: psycopg.Connection, judged: Judged) -> set[str]:
    decisions = [*suites.rules(DECISIONS, judged), *(x.rule() for x in volume.expected(connection, judged))]
    if share := volume.share_rule(connection, judged):
        decisions.append(share)
    found = set()
    for what, rules in ((REQUESTS, suites.rules(REQUESTS, judged)), (DECISIONS, decisions)):
        for rule in rules:
            row = connection.execute(rule.counting(suites.batch(what, judged))).fetchone()
            if row and row[0]:
                found.add(rule.name)
    return found


def renamed(it: Built, step: str, former: str) -> None:
    """The definition now says that the step had another key before."""
    steps = [{**listed, "renamed_from": former} if listed["key"] == step else listed for listed in it.body["steps"]]
    it.body = {**it.body, "steps": steps}


def folders(tmp_path: Path) -> dict[str, Path]:
    """Where a test's Great Expectations project and Data Docs go."""
    return {"folder": tmp_path / "gx", "docs": tmp_path / "docs"}
