"""Reads what a page shows: rows of the `reports` schema, as an analyst sees them. Nothing is added up here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import aiosql
import psycopg
from psycopg.rows import dict_row

from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

Row = Mapping[str, Any]
PURCHASES = 12
"""How many purchases a page lists."""


class NothingToReportError(WinbackError):
    """No run is on record that a page could be about."""


@cache
def queries() -> Any:
    """The named queries of `queries/`."""
    return aiosql.from_path(Path(__file__).with_name("queries"), "psycopg")


def analyst() -> psycopg.Connection[dict[str, Any]]:
    """A read-only connection as `winback_analyst`, rows as dicts, one snapshot for all its reads.

    Raises `WinbackError` when the warehouse cannot be reached or was not migrated.
    """
    connection = connect(Role.ANALYST)
    connection.execute("set transaction isolation level repeatable read, read only")
    connection.execute("set local jit = off")  # many small look-ups: compiling them costs more than they do
    connection.row_factory = dict_row  # type: ignore[assignment]
    return connection  # type: ignore[return-value]


def has_reports(connection: psycopg.Connection[Any]) -> bool:
    """Whether dbt has built the `reports` schema here: a first run that fails early leaves none."""
    row = connection.execute("select to_regclass('reports.rpt_runs') is not null as built").fetchone()
    return bool(row and row["built"])


def require_reports(connection: psycopg.Connection[Any]) -> None:
    """Raises `NothingToReportError` where the `reports` schema is missing, saying how the newest run ended."""
    if has_reports(connection):
        return
    newest: Row | None = queries().newest_run(connection)
    told = f" The newest run, of {newest['as_of']}, is {newest['state']}: {newest['detail']}." if newest else ""
    raise NothingToReportError(
        "This warehouse has no schema `reports` yet: dbt makes it in the first `winback build --as-of D`."
        f"{told} There is nothing to tell yet; nothing was changed."
    )


def unfinished_run(holder: str) -> uuid.UUID | None:
    """The run that this holder began and did not bring to its end."""
    with analyst() as connection:
        row: Row | None = queries().unfinished_run(connection, holder=holder)
    return row["run_id"] if row else None


@dataclass(frozen=True)
class Page:
    """All numbers of one page. Each field is the rows of the query of the same name."""

    clock: datetime | None
    runs: Sequence[Row]
    first: date
    last: date
    steps: Sequence[Row]
    headline: Row
    orders: Sequence[Row]
    """Counted in several ways; `counted_by` says which."""
    stages: Sequence[Row]
    left_out: Sequence[Row]
    sends: Sequence[Row]
    engagement: Sequence[Row]
    reached: Sequence[Row]
    purchases: Sequence[Row]
    holdout: Sequence[Row]
    coupons: Sequence[Row]
    alerts: Sequence[Row]
    days: Sequence[Row]

    @property
    def run(self) -> Row:
        """The newest run."""
        return self.runs[-1]

    @property
    def back(self) -> Row:
        """Who came back, over all: people and orders."""
        return _orders(self.orders, "all")[0]

    @property
    def revenue(self) -> Sequence[Row]:
        """The orders by currency."""
        return _orders(self.orders, "currency")

    @property
    def back_by_day(self) -> Mapping[date, Row]:
        """The orders by the day of the message that has the credit; days without any are missing."""
        return {row["as_of"]: row for row in _orders(self.orders, "day")}

    def back_of(self, step: Row) -> Row | None:
        """The orders credited to a step (a row with `campaign` and `step`)."""
        return next((row for row in _orders(self.orders, "step") if _same_step(row, step)), None)

    def revenue_of(self, step: Row) -> Sequence[Row]:
        """The same by currency."""
        return [row for row in _orders(self.orders, "step and currency") if _same_step(row, step)]

    @property
    def timezone(self) -> str:
        """The zone its times are shown in."""
        return str(self.run["timezone"])

    @property
    def steps_by_key(self) -> Mapping[str, Row]:
        """Steps by `campaign.step`."""
        return {f"{step['campaign']}.{step['step']}": step for step in self.steps}

    @property
    def campaigns(self) -> Mapping[str, str]:
        """Titles of the campaigns by key, first the one that goes first."""
        return {step["campaign"]: step["title"] for step in self.steps}

    def sisters(self, step: Row) -> Mapping[str, Row]:
        """The steps of the same campaign, by key."""
        return {other["step"]: other for other in self.steps if other["campaign"] == step["campaign"]}


def runs(connection: psycopg.Connection[Any], first: date | None = None, last: date | None = None) -> Sequence[Row]:
    """The runs of a stretch of days, oldest first."""
    return list(queries().runs(connection, first=first, last=last))


def _orders(rows: Sequence[Row], counted_by: str) -> Sequence[Row]:
    return [row for row in rows if row["counted_by"] == counted_by]


def _same_step(one: Row, other: Row) -> bool:
    return bool(one["campaign"] == other["campaign"] and one["step"] == other["step"])


def last_day(connection: psycopg.Connection[Any]) -> date | None:
    """The last day that was run."""
    day: date | None = queries().last_day(connection)["as_of"]
    return day


def run(connection: psycopg.Connection[Any], run_id: uuid.UUID) -> Row:
    """One run. Raises `WinbackError` when the ledger does not know it."""
    row: Row | None = queries().run(connection, run_id=run_id)
    if row is None:
        raise WinbackError(
            f"The ledger has no run {run_id}. `winback report` without options makes a page for every run there is."
        )
    return row


def page(connection: psycopg.Connection[Any], chosen: Sequence[Row]) -> Page:
    """The numbers of these runs together. A person's step counts once, by the last decision on it."""
    days = [day for row in chosen for day in (row["first_as_of"], row["last_as_of"]) if day is not None]
    first, last = (min(days), max(days)) if days else (date.min, date.min)
    ids = [row["run_id"] for row in chosen]
    ask = queries()
    orders = list(ask.orders(connection, runs=ids))
    return Page(
        clock=ask.clock(connection)["reporting_at"],
        runs=chosen,
        first=first,
        last=last,
        steps=list(ask.steps(connection, runs=ids)),
        headline=ask.headline(connection, runs=ids),
        orders=orders,
        stages=list(ask.stages(connection, runs=ids, came_back=_orders(orders, "all")[0]["messages_came_back"])),
        left_out=list(ask.left_out(connection, runs=ids)),
        sends=list(ask.sends(connection, runs=ids)),
        engagement=list(ask.engagement(connection, runs=ids)),
        reached=list(ask.reached(connection, runs=ids)),
        purchases=list(ask.purchases(connection, runs=ids, most=PURCHASES)) if len(ids) == 1 else [],
        holdout=list(ask.holdout(connection, first=first, last=last)),
        coupons=list(ask.coupons(connection, last=last)),
        alerts=list(ask.alerts(connection, first=first, last=last)),
        days=list(ask.days(connection, runs=ids)),
    )
