"""Hours by the country and region of a person: which hold, at the claim, and where little is known of the person."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from campaigns.places import COUNTRIES, REGIONS
from outbox import outcomes
from outbox.sql import ledger
from tests.integration.handoff_stub import SEND_AT, Shop, campaign
from tests.integration.outbound import claim_due

HOURS = {
    "email": None,
    "sms": ["09:00", "20:00"],
    "webpush": ["09:00", "20:00"],
    "places": {
        "FR": {"sms": ["10:00", "19:30"]},
        "US": {"sms": ["08:30", "20:30"]},
        "US-CT": {"sms": ["09:30", "19:00"]},
        "US-FL": {"sms": ["08:00", "20:00"], "email": ["07:00", "21:00"]},
    },
}
NEW_YORK = "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("country", "region", "zone", "expected"),
    [
        ("US", "FL", NEW_YORK, ("08:00", "20:00")),
        (" us ", " us-fl ", NEW_YORK, ("08:00", "20:00")),
        ("US", "NY", NEW_YORK, ("08:30", "20:30")),  # a region without hours of its own has the country's
        ("FR", "FR-IDF", "Europe/Paris", ("10:00", "19:30")),
        ("FR", None, "Europe/Paris", ("10:00", "19:30")),  # no region of it has others
        ("DE", "BY", "Europe/Berlin", ("09:00", "20:00")),  # a country without hours of its own has everybody's
        # The region is not known: what suits all of the country.
        ("US", None, NEW_YORK, ("09:30", "19:00")),
        ("US", "Florida", NEW_YORK, ("09:30", "19:00")),
        ("US", "FA", NEW_YORK, ("09:30", "19:00")),
        ("US", "", NEW_YORK, ("09:30", "19:00")),
        ("US", "CA-ON", NEW_YORK, ("09:30", "19:00")),  # of another country
        # The country is not known: it is what the region or the zone says.
        (None, "US-FL", None, ("08:00", "20:00")),
        ("USA", "FL", NEW_YORK, ("08:00", "20:00")),
        (None, None, "Europe/Paris", ("10:00", "19:30")),
        (None, None, "Europe/Berlin", ("09:00", "20:00")),
        # Neither: what suits everybody.
        (None, None, None, ("10:00", "19:00")),
        ("Utopia", "FL", "Nowhere/Land", ("10:00", "19:00")),
        (None, None, "US/Eastern", ("10:00", "19:00")),  # an old name, which the list of countries does not have
    ],
)
def test_the_hours_of_a_person(
    shop: Shop, country: str | None, region: str | None, zone: str | None, expected: tuple[str, str]
) -> None:
    found = shop.value("select outbox.hours_of(%s, 'sms', %s, %s, %s)", Jsonb(HOURS), country, region, zone)
    assert found == [time.fromisoformat(wall) for wall in expected]


def test_a_channel_that_a_place_does_not_name_keeps_the_wider_hours(shop: Shop) -> None:
    hours = "select outbox.hours_of(%s, %s, %s, %s, null)"
    assert shop.value(hours, Jsonb(HOURS), "webpush", "US", "FL") == [time(9), time(20)]
    assert shop.value(hours, Jsonb(HOURS), "email", "US", "FL") == [time(7), time(21)]
    assert shop.value(hours, Jsonb(HOURS), "email", "US", "NY") == [None, None]
    assert shop.value(hours, Jsonb(HOURS), "email", "US", None) == [time(7), time(21)]
    assert shop.value(hours, Jsonb({}), "sms", "US", "FL") == [None, None]


def test_the_codes_are_those_a_campaign_file_may_name(shop: Shop) -> None:
    assert {country for (country,) in shop.rows("select country from outbox.country_zone")} == COUNTRIES
    assert {code for (code,) in shop.rows("select code from outbox.region")} == frozenset().union(*REGIONS.values())


def texted(shop: Shop, hours: dict[str, Any], **lives: Any) -> None:
    """A text that is due at 01:00 of the day of the clock's change, whichever it is, or whenever a test claims it."""
    shop.define(campaign(hours=hours))
    shop.planned(shop.contact(**lives), channels=["sms"], not_before=utc("2017-01-01"), not_after=utc("2019-01-01"))


@pytest.mark.parametrize(
    ("lives", "opens"),
    [
        ({"region": "CT"}, "2017-10-01 13:30"),
        ({"region": None}, "2017-10-01 13:30"),  # as in the strictest state
        ({"country": None, "region": None, "timezone": "Nowhere/Land"}, "2017-10-01 20:00"),  # 10:00 in Honolulu
        ({"country": "FR", "region": None, "timezone": "Europe/Paris"}, "2017-10-02 08:00"),
    ],
)
def test_a_text_waits_for_the_hours_of_where_it_goes(shop: Shop, lives: dict[str, Any], opens: str) -> None:
    texted(shop, HOURS, **{"region": "NY", **lives})
    at_night = utc("2017-10-01 12:45") if lives.get("country", "US") != "FR" else utc("2017-10-01 17:30")
    assert claim_due(at_night, channel="sms").verdicts == {"deferred": 1}
    assert shop.rows("select reason, not_before from outbox.message") == [("quiet_hours", utc(opens))]


def test_a_text_may_go_where_its_place_is_awake_before_the_others(shop: Shop) -> None:
    texted(shop, HOURS, region="FL")
    (claimed,) = claim_due(utc("2017-10-01 12:00"), channel="sms").opened
    assert claimed.deliver_before == utc("2017-10-02 00:00")  # 20:00 in Florida


@pytest.mark.parametrize(
    ("window", "night", "opens", "closes"),
    [
        # The hour from 2:00 to 3:00 is skipped: what opens in it opens at 3:30 by the new time.
        (["02:30", "20:00"], "2018-03-11 06:45", "2018-03-11 07:30", "2018-03-12 00:00"),
        # The hour from 1:00 to 2:00 comes twice: open when it comes again.
        (["01:30", "19:00"], "2017-11-05 05:15", "2017-11-05 06:30", "2017-11-06 00:00"),
        # The mornings after the nights themselves, an hour earlier and an hour later in UTC.
        (["08:00", "20:00"], "2018-03-11 05:30", "2018-03-11 12:00", "2018-03-12 00:00"),
        (["08:00", "20:00"], "2017-11-05 05:30", "2017-11-05 13:00", "2017-11-06 01:00"),
    ],
)
def test_the_nights_of_the_clocks_change_in_a_region(
    shop: Shop, window: list[str], night: str, opens: str, closes: str
) -> None:
    places = {"US-FL": {"sms": window}}
    texted(shop, {"sms": ["09:00", "20:00"], "places": places}, region="FL")
    assert claim_due(utc(night), channel="sms").verdicts == {"deferred": 1}
    assert shop.value("select not_before from outbox.message") == utc(opens)
    (claimed,) = claim_due(utc(opens), channel="sms").opened
    assert claimed.deliver_before == utc(closes)


def test_places_that_never_agree_send_nothing_to_who_lives_nobody_knows_where(shop: Shop) -> None:
    never = {
        "sms": ["09:00", "20:00"],
        "places": {"FR": {"sms": ["09:00", "12:00"]}, "IT": {"sms": ["13:00", "20:00"]}},
    }
    shop.define(campaign(hours=never))
    lost = shop.contact(country=None, timezone=None)
    shop.planned(lost, channels=["sms"], not_after=SEND_AT + timedelta(days=1))
    assert claim_due(channel="sms").verdicts == {"deferred": 1}
    assert claim_due(SEND_AT + timedelta(days=1), channel="sms").verdicts == {"expired": 1}
    assert shop.rows("select state, reason from outbox.message") == [("expired", "quiet_hours")]


def test_a_message_that_an_operator_releases_keeps_the_hours_it_was_planned_with(shop: Shop) -> None:
    texted(shop, HOURS, region="CT")
    (claimed,) = claim_due(utc("2017-10-01 14:00"), channel="sms").opened
    with ledger() as connection, connection.transaction():
        connection.execute("update outbox.attempt set outcome = 'unknown', closed_at = opened_at")
        connection.execute("update outbox.message set state = 'in_doubt'")
    shop.define(campaign(hours={"sms": ["06:00", "23:00"]}))
    with ledger() as connection:
        outcomes.settle(connection, claimed.message_id, "planned", by="Kim", evidence="not in the provider's log")
    assert claim_due(utc("2017-10-02 13:15"), channel="sms").verdicts == {"deferred": 1}
    assert shop.value("select not_before from outbox.message") == utc("2017-10-02 13:30")
