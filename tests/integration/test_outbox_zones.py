from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import tzdata

from tests.integration.handoff_stub import Shop

NINE_TO_EIGHT = ("09:00", "20:00")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "zones", "hours", "expected"),
    [
        ("2017-10-01 14:00", ["America/New_York"], NINE_TO_EIGHT, "2017-10-01 14:00"),
        ("2017-10-01 12:59:59", ["America/New_York"], NINE_TO_EIGHT, "2017-10-01 13:00"),
        ("2017-10-01 13:00", ["America/New_York"], NINE_TO_EIGHT, "2017-10-01 13:00"),
        ("2017-10-01 23:59:59", ["America/New_York"], NINE_TO_EIGHT, "2017-10-01 23:59:59"),
        ("2017-10-02 00:00", ["America/New_York"], NINE_TO_EIGHT, "2017-10-02 13:00"),  # 20:00 is closed
        # The night of the change to summer time: the morning comes an hour earlier in UTC.
        ("2018-03-11 02:00", ["America/New_York"], NINE_TO_EIGHT, "2018-03-11 13:00"),
        ("2018-03-10 02:00", ["America/New_York"], NINE_TO_EIGHT, "2018-03-10 14:00"),
        # And back: an hour later.
        ("2017-11-05 02:00", ["America/New_York"], NINE_TO_EIGHT, "2017-11-05 14:00"),
        ("2017-11-04 02:00", ["America/New_York"], NINE_TO_EIGHT, "2017-11-04 13:00"),
        # An opening hour that the change skips, and one that it repeats.
        ("2018-03-11 06:00", ["America/New_York"], ("02:30", "20:00"), "2018-03-11 07:30"),
        ("2017-11-05 05:00", ["America/New_York"], ("01:30", "20:00"), "2017-11-05 06:30"),
        # Two zones: open where both are.
        ("2017-10-01 13:00", ["America/New_York", "America/Los_Angeles"], NINE_TO_EIGHT, "2017-10-01 16:00"),
        ("2017-10-02 00:30", ["America/New_York", "America/Los_Angeles"], NINE_TO_EIGHT, "2017-10-02 16:00"),
        # Zones that are never awake together, hours over midnight, no hours.
        ("2017-10-01 14:00", ["America/New_York", "Asia/Tokyo"], NINE_TO_EIGHT, None),
        ("2017-10-01 14:00", ["America/New_York"], ("20:00", "11:00"), "2017-10-01 14:00"),
        ("2017-10-01 16:00", ["America/New_York"], ("20:00", "11:00"), "2017-10-02 00:00"),
        ("2017-10-01 03:00", ["America/New_York"], (None, None), "2017-10-01 03:00"),
    ],
)  # fmt: skip
def test_the_next_open_instant(
    shop: Shop, now: str, zones: list[str], hours: tuple[str | None, str | None], expected: str | None
) -> None:
    found = shop.value("select outbox.next_open(%s, %s, %s::time, %s::time)", utc(now), zones, *hours)
    assert found == (utc(expected) if expected else None)
    if found is not None:
        assert shop.value("select outbox.is_open(%s, %s, %s::time, %s::time)", found, zones, *hours)


def test_the_next_close_is_that_of_the_zone_that_closes_first(shop: Shop) -> None:
    close = "select outbox.next_close(%s, %s, %s::time)"
    assert shop.value(close, utc("2017-10-01 18:00"), ["America/New_York", "America/Los_Angeles"], "20:00") == utc(
        "2017-10-02 00:00"
    )
    assert shop.value(close, utc("2017-10-02 00:00"), ["America/New_York"], "20:00") == utc("2017-10-03 00:00")
    assert shop.value(close, utc("2017-10-02 00:00"), ["America/New_York"], None) is None


def test_a_person_s_zones(shop: Shop) -> None:
    zones = "select outbox.zones_of(%s, %s, %s)"
    assert shop.value(zones, "Europe/Berlin", "US", "America/New_York") == ["Europe/Berlin"]
    assert shop.value(zones, None, "AT", "America/New_York") == ["Europe/Vienna"]
    assert shop.value(zones, "Nowhere", " at ", "America/New_York") == ["Europe/Vienna"]
    unknown = shop.value(zones, None, None, "America/New_York")
    assert {"America/New_York", "Pacific/Honolulu", "America/Los_Angeles"} <= set(unknown)
    assert shop.value(zones, None, "Utopia", "Europe/Vienna") == ["Europe/Vienna"]
    assert shop.value(zones, None, None, "Etc/UTC") == ["Etc/UTC"]


def test_the_countries_zones_are_those_of_the_tz_database(shop: Shop) -> None:
    """A newer tz database may know more; then the migration needs a successor."""
    table = (Path(tzdata.__file__).parent / "zoneinfo" / "zone.tab").read_text().splitlines()
    listed = {(line.split("\t")[0], line.split("\t")[2]) for line in table if line and not line.startswith("#")}
    known = {zone for (zone,) in shop.rows("select zone from outbox.time_zone")}
    assert set(shop.rows("select country, zone from outbox.country_zone")) == {
        pair for pair in listed if pair[1] in known
    }
    assert len({zone for _, zone in listed} - known) < 5
