"""The three cohorts of random purchase logs, in several zones and over both DST changes, against a few lines of Python.

Starting dbt is what costs: all contacts, zones and days go through two builds, the first of everything and the second
of days decided again after orders changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql

from tests.integration import dbt_definition
from tests.integration.dbt_days import begin, build, rows
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

SEED = 20171105
CONTACTS = 2000
AWAY = (30, 60, 90)
# A day lies in one zone: that of the run that decided it. Each list holds mornings after a clock change and days whose
# 30th, 60th or 90th day before is a night of 23, 25, 23.5 or 24.5 hours, or the next one.
ZONES = {
    "America/New_York": ("2017-03-13", "2017-04-11", "2017-04-12", "2017-05-11", "2017-11-06", "2017-12-05"),
    "Europe/Berlin": ("2017-03-27", "2017-04-25", "2017-05-26", "2017-10-30", "2017-11-28", "2017-12-28", "2018-01-27"),
    "Australia/Lord_Howe": ("2017-04-03", "2017-05-02", "2017-10-02", "2017-10-31", "2017-11-30"),
    "Pacific/Kiritimati": ("2017-07-01", "2017-09-29"),
    "America/Havana": ("2017-03-12", "2017-04-11", "2017-11-05", "2017-12-05"),
}  # fmt: skip
ZONE_OF = {day: zone for zone, days in ZONES.items() for day in days}
AGAIN = "2017-04-12"
"""A day that is decided once more, with the days of its zone that follow it."""

STATUSES = ("completed", "completed", "completed", "refunded", "Cancelled", "cancelled")
LATER = datetime(2018, 2, 1, tzinfo=UTC)

Row = tuple[int, str, str, str, int]
"""Days away, day, contact, last order, its revenue."""


@dataclass(frozen=True)
class Order:
    """A row of raw.orders; what it brought in as the raw contract says it."""

    order_id: str
    contact_id: str
    ordered_at: datetime
    status: str
    total: int
    refunded_total: int | None
    updated_at: datetime
    currency: str = "USD"

    @property
    def is_purchase(self) -> bool:
        return self.status.lower() != "cancelled"

    @property
    def revenue(self) -> int:
        if self.refunded_total is not None:
            return self.total - self.refunded_total
        return 0 if self.status == "refunded" else self.total


def midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def instants(random: Random) -> Iterator[datetime]:
    """One to five instants that matter for the same day: around the midnights of the days it looks back at."""
    day, zone = random.choice(list(ZONE_OF.items()))
    backs = (0, 1, 2, 4, *(away + near for away in AWAY for near in (-1, 0, 0, 0, 1)))
    for _ in range(random.randint(1, 5)):
        nears = (
            timedelta(0),
            timedelta(microseconds=-1),
            timedelta(minutes=random.randint(-90, 300)),
            timedelta(hours=random.randint(0, 23)),
        )
        yield midnight(date.fromisoformat(day) - timedelta(days=random.choice(backs)), zone) + random.choice(nears)


def purchase_log(random: Random, prefix: str = "o") -> list[Order]:
    """Orders of all contacts: some cancelled, some refunded in part or whole, some at the same moment as another."""
    log: list[Order] = []
    for number in range(CONTACTS):
        for at in instants(random):
            for _ in range(random.choice((1, 1, 1, 2))):
                log.append(
                    Order(
                        order_id=f"{prefix}{len(log):05}",
                        contact_id=f"c{number:04}",
                        ordered_at=at,
                        status=random.choice(STATUSES),
                        total=random.randint(0, 50),
                        refunded_total=random.choice((None, None, 0, 5)),
                        updated_at=at + timedelta(hours=random.choice((0, 2))),
                    )
                )
    return log


def changed(log: list[Order], random: Random) -> list[Order]:
    """The log later on: orders cancelled, taken back, refunded or another contact's, and some that came late."""
    later = list(log)
    for place in random.sample(range(len(later)), len(later) // 5):
        values = random.choice(
            (
                {"status": "cancelled"},
                {"status": "completed"},
                {"status": "refunded"},
                {"contact_id": f"c{random.randrange(CONTACTS):04}"},
            )
        )
        later[place] = replace(later[place], updated_at=LATER, **values)
    late = random.sample(purchase_log(random, "late"), len(log) // 10)
    return later + [replace(order, updated_at=LATER) for order in late]


def expected(log: list[Order], days: Iterable[str]) -> set[Row]:
    """What the cohorts are: of each contact the last purchase before the day, and how many calendar days ago it was."""
    purchases = defaultdict(list)
    for order in log:
        if order.is_purchase:
            purchases[order.contact_id].append(order)
    found: set[Row] = set()
    for as_of in days:
        zone, day = ZONE_OF[as_of], date.fromisoformat(as_of)
        start = midnight(day, zone)
        for contact_id, placed in purchases.items():
            before = [order for order in placed if order.ordered_at < start]
            if before:
                last = max(before, key=lambda order: (order.ordered_at, order.order_id))
                away = (day - last.ordered_at.astimezone(ZoneInfo(zone)).date()).days
                if away in AWAY:
                    found.add((away, as_of, contact_id, last.order_id, last.revenue))
    return found


def load(connection: psycopg.Connection, log: list[Order]) -> None:
    connection.execute("truncate raw.orders")
    names = sql.SQL(", ").join(sql.Identifier(each.name) for each in fields(Order))
    with connection.cursor().copy(sql.SQL("copy raw.orders ({}) from stdin").format(names)) as copy:
        for order in log:
            copy.write_row(astuple(order))
    connection.commit()


def built() -> set[Row]:
    """What the models say of every day."""
    build("--indirect-selection", "cautious", "--select", *(f"+dormant_at_{away}" for away in AWAY))
    return {
        row
        for away in AWAY
        for row in rows(
            "select days_away, as_of::text, contact_id, last_order_id, last_order_revenue::integer"  # noqa: S608
            f" from cohorts.dormant_at_{away}"
        )
    }


def of(found: set[Row], days: Iterable[str]) -> set[Row]:
    return {row for row in found if row[1] in set(days)}


def test_the_cohorts_of_random_logs_are_what_a_few_lines_of_python_say(warehouse: str) -> None:
    random = Random(SEED)  # noqa: S311
    log = purchase_log(random)
    wanted = expected(log, ZONE_OF)
    for day in ZONE_OF:
        assert {away for away, as_of, *_ in wanted if as_of == day} == set(AWAY), f"the log says too little of {day}"
    with connect(Role.OWNER) as connection:
        load(connection, log)
        for zone, days in ZONES.items():
            begin(connection, *days, definitions=[dbt_definition.winback(timezone=zone)])
    assert built() == wanted

    later = changed(log, random)
    again = [day for day in ZONES["America/New_York"] if day >= AGAIN]
    wanted_again = expected(later, again)
    assert wanted_again != of(wanted, again), "the changes would not show"
    with connect(Role.OWNER) as connection:
        load(connection, later)
        begin(connection, *again)
    found = built()
    assert of(found, again) == wanted_again
    assert found - wanted_again == wanted - of(wanted, again), "the days that are not decided again stay as they were"
