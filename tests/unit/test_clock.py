"""The run's clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from warehouse.clock import Clock, local_time
from warehouse.connect import Role, connect

NOON = datetime(2017, 10, 1, 12, tzinfo=UTC)


def test_a_simulated_clock_moves_only_when_told(warehouse: str) -> None:
    with connect(Role.ANALYST) as connection:
        clock = Clock(NOON)
        assert clock.now(connection) == NOON
        assert clock.at(datetime(2017, 10, 2, tzinfo=UTC)).now(connection) == datetime(2017, 10, 2, tzinfo=UTC)


def test_a_live_clock_is_the_databases_and_cannot_be_moved(warehouse: str) -> None:
    with connect(Role.ANALYST) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        assert Clock().now(connection) >= row[0]
    with pytest.raises(ValueError, match="live"):
        Clock().at(NOON)


@pytest.mark.parametrize(
    ("day", "at", "utc"),
    [
        (date(2017, 10, 1), time(10), datetime(2017, 10, 1, 14, tzinfo=UTC)),
        (date(2017, 11, 6), time(10), datetime(2017, 11, 6, 15, tzinfo=UTC)),
        (date(2017, 11, 5), time(1, 30), datetime(2017, 11, 5, 5, 30, tzinfo=UTC)),
        (date(2017, 3, 12), time(2, 30), datetime(2017, 3, 12, 7, 30, tzinfo=UTC)),
    ],
)
def test_wall_times_follow_the_zone_through_both_changes(day: date, at: time, utc: datetime) -> None:
    assert local_time(day, at, "America/New_York") == utc


@pytest.mark.parametrize(
    ("day", "zone", "utc"),
    [
        (date(2025, 11, 2), "America/Havana", datetime(2025, 11, 2, 4, tzinfo=UTC)),  # 00:00 comes twice
        (date(2025, 10, 26), "Atlantic/Azores", datetime(2025, 10, 26, 0, tzinfo=UTC)),
        (date(2025, 3, 9), "America/Havana", datetime(2025, 3, 9, 5, tzinfo=UTC)),  # 00:00 does not come, 01:00 does
        (date(2025, 10, 26), "Asia/Beirut", datetime(2025, 10, 25, 22, tzinfo=UTC)),  # back to 23:00 of the day before
    ],
)
def test_a_day_begins_at_its_first_moment(day: date, zone: str, utc: datetime) -> None:
    assert local_time(day, time(), zone) == utc
