"""The hand-off as the outbox reads it, without dbt: tables to fill by hand and small live views over the raw contract.

The columns are those of the models; the logic is only as much as the outbox's own tests need.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from outbox import runs
from outbox.enqueue import Enqueued, enqueue
from outbox.sql import ledger
from warehouse.connect import Role, connect

DAY = date(2017, 10, 1)
BUILT_AT = datetime(2017, 10, 1, 9, tzinfo=UTC)
"""05:00 in New York, the run's clock."""
SEND_AT = datetime(2017, 10, 1, 14, tzinfo=UTC)
"""10:00 in New York."""
UNTIL = datetime(2017, 10, 2, 14, tzinfo=UTC)
TEMPLATE = "ab" * 32

HANDOFF = """
create schema cohorts;
create schema allocations;
create schema handoff;

create table cohorts.fct_decisions (
    run_id uuid, as_of date, contact_id text, campaign text, step text, episode_on date, due_on date, mode text,
    decision text, reason text, reasons text[], variant text, seen jsonb, definition_hash text
);
create table allocations.coupon_allocations (
    run_id uuid, promotion text, code text, contact_id text, campaign text, episode_on date, step text, as_of date,
    valid_until timestamptz
);
create table allocations.coupon_shortfalls (
    run_id uuid, promotion text, as_of date, needed bigint, available bigint, unserved bigint
);
create table handoff.send_requests (
    run_id uuid, as_of date, campaign text, step text, contact_id text, episode_on date, step_days integer,
    due_on date, mode text, channels text[], template_hash text, variant text, offer text, promotion text,
    coupon_code text, valid_until timestamptz, tag text, contact_event text, merge_fields jsonb, consent jsonb,
    definition_hash text, not_before timestamptz, not_after timestamptz
);
create table handoff.tag_requests (
    run_id uuid, as_of date, contact_id text, campaign text, episode_on date, step text, tag text, action text
);
create table handoff.notice_requests (run_id uuid, kind text, subject text, on_day date, title text, body text);

create table handoff.built_by (target text);
create view handoff.handoff_totals as
select run_id, count(*) as request_count, coalesce((select target from handoff.built_by), 'prod') as target,
    md5(string_agg(r::text, '|' order by r.contact_id, r.step)) as request_checksum
from handoff.send_requests r
group by run_id;

-- The contacts of a contact's person, over others as well.
create function handoff.members(asked text) returns setof text language sql stable security definer as $$
    with recursive linked as (
        select c.contact_id, lower(c.email) as email, c.phone from raw.contacts c where c.contact_id = asked
        union
        select o.contact_id, lower(o.email), o.phone
        from linked
        cross join lateral (
            select * from raw.contacts e where lower(btrim(e.email)) = linked.email
            union all
            select * from raw.contacts p where btrim(p.phone) = linked.phone
        ) as o
    )
    select distinct contact_id from linked
$$;

create view handoff.recipients as
select c.contact_id, c.first_name, (select min(known.id) from handoff.members(c.contact_id) as known (id)) as person_id,
    case when btrim(c.email) ~ '^[^@ ]+@[^@ ]+$' then btrim(c.email) end as email,
    case when c.phone ~ '^[+][1-9][0-9]{6,14}$' then c.phone end as phone,
    (
        select jsonb_agg(jsonb_build_object(
            'endpoint', s.endpoint, 'p256dh', s.p256dh, 'auth', s.auth, 'subscribed_at', s.subscribed_at
        ) order by s.subscribed_at desc)
        from raw.web_push_subscriptions s where s.contact_id = c.contact_id
    ) as subscriptions,
    c.timezone, c.country, c.region,
    jsonb_build_object(
        'email', jsonb_build_object('at', c.consent_email_at, 'source', c.consent_email_source),
        'sms', jsonb_build_object('at', c.consent_sms_at, 'source', c.consent_sms_source)
    ) as consent,
    outbox.address_hash('email', c.email) as email_hash, outbox.address_hash('sms', c.phone) as phone_hash
from raw.contacts c;

create view handoff.send_stops as
select m.id as message_id, null::text as channel, 'purchased_since' as reason, o.ordered_at as happened_at,
    null::timestamptz as ends_at
from outbox.message m
join raw.contacts mine using (contact_id)
join raw.contacts other on other.contact_id = mine.contact_id or other.email = mine.email or other.phone = mine.phone
join raw.orders o on o.contact_id = other.contact_id
where m.state = 'planned' and o.status <> 'cancelled' and o.ordered_at >= m.planned_at
union all
select m.id, stop.channel, stop.reason, null, null
from outbox.message m
join raw.contacts c using (contact_id)
cross join lateral (values
    ('email', 'no_email_consent', c.consent_email), ('sms', 'no_sms_consent', c.consent_sms)
) as stop (channel, reason, consent)
where m.state = 'planned' and stop.consent is not true
union all
select m.id, 'email', 'suppressed', s.suppressed_at, least(s.until, s.lifted_at)
from outbox.message m
join raw.contacts c using (contact_id)
join outbox.suppression s on s.channel = 'email' and s.address_hash = outbox.address_hash('email', c.email)
where m.state = 'planned';

create view handoff.marketing_touches as
select mine.contact_id, a.channel, a.opened_at as sent_at, m.campaign as source
from raw.contacts mine
cross join lateral handoff.members(mine.contact_id) as other (contact_id)
join outbox.message m on m.contact_id = other.contact_id
join outbox.attempt a on a.message_id = m.id and a.outcome in ('open', 'accepted', 'unknown')
union all
select contact_id, channel, sent_at, campaign from raw.campaign_sends;

grant usage on schema cohorts, allocations, handoff to winback_sender;
grant select on all tables in schema cohorts, allocations, handoff to winback_sender;
grant usage on schema cohorts, handoff to winback_dbt;
grant select, update on cohorts.fct_decisions, handoff.send_requests to winback_dbt;
"""


def campaign(**changes: Any) -> dict[str, Any]:
    """A campaign's document, as far as the outbox reads it."""
    return {
        "campaign": "winback",
        "timezone": "America/New_York",
        "build_at": "05:00",
        "send_at": "10:00",
        "priority": 10,
        "caps": {"per_day": 1, "per_7_days": 3},
        "hours": {"email": None, "sms": ["09:00", "20:00"], "webpush": ["09:00", "20:00"]},
        "steps": [{"key": "day30"}, {"key": "day60"}],
        **changes,
    }


def hash_of(document: Mapping[str, Any]) -> str:
    """A definition's hash."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@dataclass
class Shop:
    """A warehouse with a shop in it. Rows are written as their owners would write them, by hand."""

    owner: psycopg.Connection
    definition_hash: str = ""
    bundle_hash: str = ""
    target: str = "prod"
    contacts: int = 0
    needed: dict[str, int] = field(default_factory=dict)

    def define(self, *documents: Mapping[str, Any]) -> None:
        """Stores campaigns and makes them the bundle of the runs that follow."""
        hashes = {document["campaign"]: hash_of(document) for document in documents}
        bundle = {"campaigns": hashes}
        self.definition_hash = hash_of(documents[0])
        self.bundle_hash = hash_of(bundle)
        insert = "insert into outbox.definition (hash, kind, body) values (%s, %s, %s) on conflict do nothing"
        for document in documents:
            self.owner.execute(insert, [hashes[document["campaign"]], "campaign", Jsonb(dict(document))])
        self.owner.execute(insert, [self.bundle_hash, "bundle", Jsonb(bundle)])
        self.owner.execute(
            "insert into outbox.template (template_hash, subject, text, html, sms, push) values"
            " (%s, 'Hello', 'Dear {{ first_name }} {{ unsubscribe_url }}', '<p>{{ first_name }}</p>', 'Hi', %s)"
            " on conflict do nothing",
            [TEMPLATE, Jsonb({"title": "Hi", "body": "Come back", "url": "https://shop.example.com", "icon": ""})],
        )

    def contact(self, contact_id: str | None = None, **values: Any) -> str:
        """A contact who may be mailed and texted, in New York unless said otherwise."""
        self.contacts += 1
        contact_id = contact_id or f"c{self.contacts:05}"
        row = {
            "contact_id": contact_id, "email": f"{contact_id}@example.com", "phone": f"+1212555{self.contacts:04}",
            "first_name": "Robin", "country": "US", "timezone": "America/New_York", "consent_email": True,
            "consent_sms": True, "consent_email_source": "checkout", "consent_sms_source": "checkout", **values,
        }  # fmt: skip
        self.insert("raw.contacts", row)
        return contact_id

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """One row."""
        names, holes = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        self.owner.execute(f"insert into {table} ({names}) values ({holes})", dict(row))  # noqa: S608

    def plan(
        self, day: date = DAY, *, clock: datetime = BUILT_AT, mode: str = "simulated", holder: str = "test"
    ) -> runs.Plan:
        """What a run of one day is opened for."""
        return runs.Plan(mode, clock, {day: clock}, self.bundle_hash, self.target, holder)

    def open_run(
        self, day: date = DAY, *, clock: datetime = BUILT_AT, mode: str = "simulated", holder: str = "test"
    ) -> uuid.UUID:
        """A run that is being built."""
        with ledger() as connection:
            opened = runs.open_run(connection, self.plan(day, clock=clock, mode=mode, holder=holder))
        assert isinstance(opened, uuid.UUID), opened
        return opened

    def request(
        self,
        run_id: uuid.UUID,
        contact_id: str,
        *,
        step: str = "day30",
        promotion: str | None = None,
        code: str | None = None,
        as_of: date = DAY,
        **changes: Any,
    ) -> None:
        """A decision to send and its request; with a `code`, also the proposal of it."""
        row = {
            "run_id": run_id, "as_of": as_of, "campaign": "winback", "step": step, "contact_id": contact_id,
            "episode_on": as_of - timedelta(days=30), "step_days": 30, "due_on": as_of, "mode": "live",
            "channels": ["email"], "template_hash": TEMPLATE, "promotion": promotion, "coupon_code": code,
            "valid_until": SEND_AT + timedelta(days=14) if code else None, "tag": None,
            "contact_event": "coupon_assigned" if code else None, "merge_fields": Jsonb({"shop_name": "Riverside"}),
            "consent": Jsonb({"email": {"at": None, "source": "checkout"}, "sms": {"at": None, "source": "checkout"}}),
            "definition_hash": self.definition_hash, "not_before": SEND_AT, "not_after": SEND_AT + timedelta(days=3),
            **changes,
        }  # fmt: skip
        self.insert("handoff.send_requests", row)
        self.decide(run_id, contact_id, "send", row=row)
        if code:
            kept = ("run_id", "promotion", "contact_id", "campaign", "episode_on", "step", "as_of", "valid_until")
            self.insert("allocations.coupon_allocations", {"code": code, **{name: row[name] for name in kept}})

    def decide(
        self, run_id: uuid.UUID, contact_id: str, decision: str, reason: str | None = None, *, row: Mapping[str, Any]
    ) -> None:
        """One decision; `row` has the keys of a request."""
        kept = ("as_of", "campaign", "step", "episode_on", "due_on", "mode", "definition_hash")
        self.insert(
            "cohorts.fct_decisions",
            {
                "run_id": run_id, "contact_id": contact_id, "decision": decision, "reason": reason,
                "reasons": [reason] if reason else [], "seen": Jsonb({}), **{name: row[name] for name in kept},
            },
        )  # fmt: skip

    def validate(self, run_id: uuid.UUID, held: Sequence[str] = ()) -> None:
        """What build and gate leave behind."""
        runs.mark_built(run_id)
        with ledger() as connection:
            row = connection.execute(
                "select request_count, request_checksum from handoff.handoff_totals where run_id = %s", [run_id]
            ).fetchone()
            bundle = runs.definition(connection, self.bundle_hash)
            runs.mark_validated(
                connection,
                run_id,
                request_count=row[0] if row else 0,
                request_checksum=row[1] if row else None,
                verdict={
                    name: {"result": "held" if name in held else "passed", "failed": []} for name in bundle["campaigns"]
                },
            )

    def enqueue(self, run_id: uuid.UUID, held: Sequence[str] = ()) -> Enqueued:
        """Build, gate and enqueue in one."""
        self.validate(run_id, held)
        return enqueue(run_id)

    def planned(self, contact_id: str | None = None, **changes: Any) -> uuid.UUID:
        """A message in state planned, by a run of its own. Returns its id."""
        contact_id = contact_id or self.contact()
        mode = changes.pop("run_mode", "simulated")
        run_id = self.open_run(holder=f"test {uuid.uuid4()}", mode=mode)
        self.request(run_id, contact_id, **changes)
        assert self.enqueue(run_id).messages == 1
        return self.value("select id from outbox.message where run_id = %s", run_id)  # type: ignore[no-any-return]

    def planned_many(self, count: int, **changes: Any) -> None:
        """So many messages to so many contacts, by one run."""
        run_id = self.open_run(holder=f"test {uuid.uuid4()}")
        for _ in range(count):
            self.request(run_id, self.contact(), **changes)
        assert self.enqueue(run_id).messages == count

    def value(self, query: str, *parameters: Any) -> Any:
        """The first column of the first row; None without one."""
        row = self.owner.execute(query, parameters).fetchone()
        return row[0] if row else None

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows."""
        return self.owner.execute(query, parameters).fetchall()


def install_handoff(url: str) -> None:
    """Makes the stand-in relations in a migrated database."""
    with connect(Role.OWNER, url=url, autocommit=True) as owner:
        owner.execute(HANDOFF)


def open_shop() -> Shop:
    """A shop with one campaign, in the database of this test."""
    shop = Shop(connect(Role.OWNER, autocommit=True))
    shop.define(campaign())
    return shop
