"""Hours by country and region in what is handed over, and that the claim goes by the same rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.integration import dbt_definition
from tests.integration.dbt_days import at, begin, build, contact, database, order, rows
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

HOURS = {
    "email": None,
    "sms": ["09:00", "20:00"],
    "webpush": ["09:00", "20:00"],
    "places": {
        "FR": {"sms": ["11:00", "19:30"]},
        "US-CT": {"sms": ["01:30", "20:00"]},
        "US-FL": {"sms": ["02:30", "19:00"]},
        "US-NV": {"sms": ["09:30", "18:00"]},
    },
}
PEOPLE: dict[str, dict[str, Any]] = {
    "florida": {"region": "FL"},
    "connecticut": {"region": "CT"},
    "new_york": {"region": "NY"},
    "somewhere": {"region": None},
    "france": {"country": "FR", "timezone": "Europe/Paris"},
    "by_zone": {"country": None, "timezone": "Europe/Paris"},
    "nowhere": {"country": None, "timezone": None},
}
DAYS = {"2017-11-05": "2017-09-06", "2018-03-11": "2018-01-10", "2018-04-11": "2018-02-10"}
"""The days of the clock's change and one without, each with the day 60 days before it."""


@pytest.fixture(scope="module")
def planned(postgres: str, template_database: str) -> Iterator[dict[tuple[str, str], datetime]]:
    """(contact without its day, day) -> not_before of a text that is sent from 1:00 on."""
    with database(postgres, template_database), connect(Role.OWNER) as connection:
        connection.autocommit = True
        for number, (day, bought) in enumerate(DAYS.items()):
            for position, (name, lives) in enumerate(PEOPLE.items()):
                contact(
                    connection, f"{name} {day}", phone=f"+1212555{number}{position:03}", email=None, consent_sms=True,
                    consent_sms_at=at("2016-01-01"), **{"region": None, **lives},
                )  # fmt: skip
                order(connection, f"{name} {day}", f"{name} {day}", at(bought))
        text = dbt_definition.step("day60", 1, after_days=60, channels=["sms"], requires=["consent_sms"])
        begin(connection, *DAYS, definitions=[dbt_definition.winback(send_at="01:00", hours=HOURS, steps=[text])])
        build()
        yield {
            (contact_id.partition(" ")[0], contact_id.partition(" ")[2]): not_before
            for contact_id, not_before in rows("select contact_id, not_before from handoff.send_requests")
        }


def test_a_text_waits_for_the_hours_of_the_region_or_the_country(planned: dict[tuple[str, str], datetime]) -> None:
    day = "2018-04-11"
    assert planned["florida", day] == at(day, "02:30")
    assert planned["connecticut", day] == at(day, "01:30")
    assert planned["new_york", day] == at(day, "09:00")
    assert planned["france", day] == at(day, "11:00", "Europe/Paris")


def test_who_lives_nobody_knows_where_has_the_hours_that_suit_everybody(
    planned: dict[tuple[str, str], datetime],
) -> None:
    day = "2018-04-11"
    assert planned["somewhere", day] == at(day, "09:30")  # as in the strictest state
    assert planned["by_zone", day] == at(day, "11:00", "Europe/Paris")
    assert planned["nowhere", day] == at(day, "11:00")


def test_the_nights_of_the_clocks_change(planned: dict[tuple[str, str], datetime]) -> None:
    assert planned["florida", "2018-03-11"].isoformat() == "2018-03-11T07:30:00+00:00"  # 2:30 is skipped: 3:30
    assert planned["connecticut", "2018-03-11"].isoformat() == "2018-03-11T06:30:00+00:00"
    assert planned["new_york", "2018-03-11"].isoformat() == "2018-03-11T13:00:00+00:00"
    assert planned["connecticut", "2017-11-05"].isoformat() == "2017-11-05T06:30:00+00:00"  # 1:30 when it comes again
    assert planned["florida", "2017-11-05"].isoformat() == "2017-11-05T07:30:00+00:00"
    assert planned["new_york", "2017-11-05"].isoformat() == "2017-11-05T14:00:00+00:00"


def test_the_claim_finds_every_planned_hour_open(planned: dict[tuple[str, str], datetime]) -> None:
    assert len(planned) == len(DAYS) * len(PEOPLE)
    closed = rows(
        "select r.contact_id from handoff.send_requests r join handoff.recipients p using (contact_id)"
        " cross join lateral (select outbox.hours_of(%s, 'sms', p.country, p.region, p.timezone) as hours offset 0) h"
        " where p.timezone is not null and not outbox.is_open(r.not_before,"
        " outbox.zones_of(p.timezone, p.country, 'America/New_York'), h.hours[1], h.hours[2])",
        json.dumps(HOURS),
    )
    assert closed == []
