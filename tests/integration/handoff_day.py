"""The people of the hand-off's tests, and what stops their messages."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.integration import dbt_definition
from tests.integration.dbt_days import at, begin, build, codes, contact, enqueue, order, rows

HAWAII = "Pacific/Honolulu"


def fill(connection: psycopg.Connection) -> None:
    """Contacts with purchases, in zones of their own, reachable one way or another; several of them are one person."""
    for contact_id, changes in {
        "here": {"first_name": "Hermione"},
        "far": {"timezone": HAWAII},
        "nowhere": {"timezone": None},
        "texted": {"phone": "+12125550101", "consent_sms": True, "consent_sms_at": at("2016-01-01")},
        "mailed": {"phone": "+12125550102"},
        "twin_a": {"email": "twins@example.com", "phone": "+12125550150"},
        "same_phone": {"email": "n/a", "phone": " +12125550150 "},
        "same_mail": {"email": " Twins@Example.com", "phone": "+12125550151"},
        "over_the_second": {"phone": "+12125550151"},
        "nobodys_twin": {"email": "n/a", "phone": "not a number"},
        "nor_this": {"email": None, "phone": "not a number"},
    }.items():
        contact(connection, contact_id, **changes)
    for contact_id, ordered_at in {
        "here": at("2017-09-01"),
        "far": at("2017-09-01"),
        "nowhere": at("2017-08-31"),
        "texted": at("2017-08-02"),
        "mailed": at("2017-08-02"),
        "twin_a": at("2017-09-01"),
    }.items():
        order(connection, f"o-{contact_id}", contact_id, ordered_at)


def decided(connection: psycopg.Connection) -> dict[str, Any]:
    """One day of theirs, built and enqueued. `requests`: (contact, step) -> row of send_requests."""
    fill(connection)
    codes(connection, "winback_discount10", 2)
    early = dbt_definition.winback(send_at="08:00")
    told = {"run": begin(connection, "2017-10-01", definitions=[early])}
    build()
    with psycopg.connect(connection.info.dsn, password=connection.info.password) as reader:
        reader.row_factory = psycopg.rows.dict_row
        told["requests"] = {
            (row["contact_id"], row["step"]): row
            for row in reader.execute("select * from handoff.send_requests").fetchall()
        }
    told["linked in the build"], told["linked live"] = (
        rows(f"select contact_id, member_contact_id from customers.{model}"  # noqa: S608
             " where contact_id in (select contact_id from cohorts.int_candidates) order by 1, 2")
        for model in ("int_person_members", "int_same_person")
    )  # fmt: skip
    enqueue(connection, told["run"], accepted=False)
    return told


def stops(contact_id: str, until: str = "2017-10-01") -> set[tuple[str | None, str]]:
    """(channel, reason) of what stops the contact's messages at 10:00 of a day."""
    return set(
        rows(
            "select s.channel, s.reason from handoff.send_stops s join outbox.message m on m.id = s.message_id"
            " where m.contact_id = %s and (s.happened_at is null or s.happened_at <= %s)"
            " and (s.ends_at is null or s.ends_at > %s)",
            contact_id,
            at(until, "10:00"),
            at(until, "10:00"),
        )
    )
