"""Hand-made raw rows, runs and their end, for tests that build the dbt project against a real database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql

from tests.databases import created
from tests.integration import dbt_definition
from warehouse import dbt
from warehouse.clock import local_time
from warehouse.connect import Role, connect

NEW_YORK = "America/New_York"


def insert(connection: psycopg.Connection, table: str, **values: Any) -> None:
    """One row into `schema.table`; dictionaries become jsonb."""
    connection.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(*table.split(".")),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        ),
        [json.dumps(value) if isinstance(value, Mapping) else value for value in values.values()],
    )


def at(day: str, wall: str = "12:00", zone: str = NEW_YORK) -> datetime:
    """`2017-09-01` at a wall time of the zone, as an aware instant."""
    return local_time(date.fromisoformat(day), time.fromisoformat(wall), zone)


def contact(connection: psycopg.Connection, contact_id: str, **changes: Any) -> None:
    """A contact who may be written to by e-mail and by text."""
    row = {
        "contact_id": contact_id,
        "email": f"{contact_id}@example.com",
        "phone": None,
        "timezone": NEW_YORK,
        "country": "US",
        "consent_email": True,
        "consent_email_at": at("2016-01-01"),
        "consent_email_source": "signup",
        "consent_email_text_version": "v1",
        "consent_sms": False,
        "created_at": at("2016-01-01"),
        "updated_at": at("2016-01-01"),
    }
    insert(connection, "raw.contacts", **(row | changes))


def order(connection: psycopg.Connection, order_id: str, contact_id: str, ordered_at: datetime, **changes: Any) -> None:
    """A completed order of 20 USD, known from the moment it was placed."""
    row = {
        "order_id": order_id,
        "contact_id": contact_id,
        "ordered_at": ordered_at,
        "status": "completed",
        "total": 20,
        "currency": "USD",
        "updated_at": ordered_at,
    }
    insert(connection, "raw.orders", **(row | changes))


def codes(connection: psycopg.Connection, promotion: str, count: int, *, first: int = 1) -> None:
    """`count` codes in a promotion's pool, numbered from `first` on, loaded long ago."""
    for number in range(first, first + count):
        insert(
            connection,
            "raw.coupon_codes",
            promotion=promotion,
            code=f"{promotion}-{number:03}",
            loaded_at=at("2016-01-01"),
        )


def begin(
    connection: psycopg.Connection,
    *days: str,
    definitions: Sequence[Mapping[str, Any]] = (),
    mode: str = "simulated",
    target: str = "prod",
    clock: datetime | None = None,
) -> uuid.UUID:
    """A run in state building for the days; one that is open is abandoned first. The clock: 05:00 in New York of each
    day, or of all of them the one given."""
    bodies = [dict(body) for body in definitions] or [dbt_definition.winback()]
    hashes = {}
    for body in bodies:
        hashes[body["campaign"]] = dbt_definition.digest(body)
        _define(connection, hashes[body["campaign"]], "campaign", body)
        for template_hash in {step["template_hash"] for step in body["steps"]} - {None}:
            connection.execute(
                "insert into outbox.template (template_hash) values (%s) on conflict do nothing", [template_hash]
            )
    bundle = {"campaigns": hashes}
    _define(connection, dbt_definition.digest(bundle), "bundle", bundle)
    connection.execute("update outbox.run set state = 'abandoned' where state in ('building', 'built', 'validated')")
    run_id = uuid.uuid4()
    clocks = [clock or at(day, "05:00") for day in days]
    insert(
        connection, "outbox.run", run_id=run_id, mode=mode, clock=max(clocks), target=target, holder="test",
        definition_hash=dbt_definition.digest(bundle), lease_until=datetime.now(ZoneInfo("UTC")) + timedelta(hours=1),
    )  # fmt: skip
    for day, its_clock in zip(days, clocks, strict=True):
        insert(connection, "outbox.run_day", run_id=run_id, as_of=date.fromisoformat(day), clock=its_clock)
    connection.commit()
    return run_id


def _define(connection: psycopg.Connection, digest: str, kind: str, body: Mapping[str, Any]) -> None:
    connection.execute(
        "insert into outbox.definition (hash, kind, body) values (%s, %s, %s) on conflict do nothing",
        [digest, kind, json.dumps(body)],
    )


def build(*arguments: str) -> list[str]:
    """A day's build without the reports, quietly."""
    return dbt.run([*dbt.BUILD, "--exclude", "reports", *arguments], progress=lambda line: None)


_FREEZE = (
    """
    insert into outbox.decision (run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision, reason,
        reasons, variant, seen, definition_hash, archived_at)
    select run_id, as_of, contact_id, campaign, step, episode_on, due_on, d.mode, decision, reason, reasons, variant,
        seen, d.definition_hash, run.clock
    from cohorts.fct_decisions d join outbox.run using (run_id) where run_id = %(run)s
    """,
    """
    insert into outbox.coupon_grant (promotion, code, contact_id, campaign, episode_on, step, as_of, granted_at,
        valid_until)
    select promotion, code, contact_id, campaign, episode_on, step, as_of, run.clock, valid_until
    from allocations.coupon_allocations join outbox.run using (run_id) where run_id = %(run)s
    """,
    """
    insert into outbox.message (run_id, campaign, contact_id, episode_on, step, step_days, as_of, due_on, mode,
        channels, template_hash, merge_fields, variant, offer, coupon_grant_id, tag, consent, definition_hash,
        not_before, not_after, planned_at)
    select r.run_id, r.campaign, r.contact_id, r.episode_on, r.step, r.step_days, r.as_of, r.due_on, r.mode,
        r.channels, r.template_hash, r.merge_fields, r.variant, r.offer, g.id, r.tag, r.consent, r.definition_hash,
        r.not_before, r.not_after, run.clock
    from handoff.send_requests r join outbox.run using (run_id)
    left join outbox.coupon_grant g on g.code = r.coupon_code and g.released_at is null
    where r.run_id = %(run)s
    """,
    """
    insert into outbox.contact_tag (contact_id, tag, added_at, caused_by)
    select contact_id, tag, run.clock, run_id from handoff.tag_requests
    join outbox.run using (run_id) where run_id = %(run)s and action = 'add'
    """,
)


def enqueue(connection: psycopg.Connection, run_id: uuid.UUID, *, accepted: bool = True) -> None:
    """Freezes what dbt proposed, as `winback enqueue` does; `accepted`: the providers take it at not_before."""
    for statement in _FREEZE:
        connection.execute(statement, {"run": run_id})  # type: ignore[arg-type]
    for state in ("built", "validated", "enqueued"):
        connection.execute("update outbox.run set state = %s where run_id = %s", [state, run_id])
    if accepted:
        accept(connection, run_id)
    connection.commit()


def accept(connection: psycopg.Connection, run_id: uuid.UUID) -> None:
    """Every message of the run is accepted, at its not_before and through its first channel."""
    connection.execute("update outbox.message set state = 'sending' where run_id = %s", [run_id])
    connection.execute(
        "update outbox.message set state = 'accepted', accepted_at = not_before, accepted_channel = channels[1]"
        " where run_id = %s",
        [run_id],
    )


def opens(connection: psycopg.Connection, contact_id: str, step: str, when: datetime, **changes: Any) -> None:
    """The contact opens the message of a step."""
    row = connection.execute(
        "select id, channels[1] from outbox.message where contact_id = %s and step = %s", [contact_id, step]
    ).fetchone()
    assert row is not None
    values = {
        "event_key": uuid.uuid4().hex,
        "call_id": uuid.uuid4(),
        "provider": "sandbox",
        "channel": row[1],
        "message_id": row[0],
        "kind": "opened",
        "is_machine": False,
        "occurred_at": when,
        "received_at": when,
    }
    insert(connection, "events.engagement_event", **(values | changes))


@contextmanager
def database(server: str, template: str) -> Iterator[str]:
    """The URL of a database of its own, migrated, for the tests of one module; WINBACK_DATABASE_URL meanwhile."""
    with created(server, "test", template=template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINBACK_DATABASE_URL", url)
        yield url


def rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, read with the rights of the login."""
    with connect(Role.OWNER) as connection:
        return connection.execute(query, parameters or None).fetchall()  # type: ignore[arg-type]


def decisions(run_id: uuid.UUID) -> dict[tuple[str, str], str]:
    """(contact, step) -> `send`, or the decision and its reason: `skip/purchased_since`."""
    return {
        (contact_id, step): decision if reason is None else f"{decision}/{reason}"
        for contact_id, step, decision, reason in rows(
            "select contact_id, step, decision, reason from cohorts.fct_decisions where run_id = %s", run_id
        )
    }
