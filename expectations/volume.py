"""How many people a day should be about: what purchases lead one to expect, with recent days beside it.

A step "30 days after the last purchase" is due on D for whoever bought on D - 30 and has not since. That is counted
here from the orders themselves, not from the models that are judged, and works on the very first day. A step that
follows another one has no such expectation: it is bounded by the messages it follows (`follow_ups_have_a_first`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

import psycopg

from expectations.suites import Judged, Rule, fill
from warehouse.clock import local_time

TOLERANCE, SLACK = 0.2, 5
"""Orders change between the day's clock and now: a fifth more or less, and five people, are nothing to stop for."""
RECENT_DAYS = 7
SHARE_FROM = 50
"""How many recent decisions it takes to know what share of people can usually be reached."""
SHARE_FACTOR = 4

_IS_PURCHASE = "coalesce(lower(btrim({}.status, E' \\t\\r\\n')), '') not in ('cancelled', 'canceled')"
"""As `is_purchase` of dbt_project/macros/purchases.sql, said once more: it is the models that are judged."""

_EXPECTED = f"""
with day as (
    select
        :opens_at::timestamptz as opens_at,
        :closes_at::timestamptz as closes_at,
        :day_start::timestamptz as day_start
),

bought as (
    select distinct orders.contact_id
    from day
    inner join staging.stg_raw__orders as orders
        on orders.ordered_at >= day.opens_at and orders.ordered_at < day.closes_at
    where orders.contact_id is not null and {_IS_PURCHASE.format("orders")}
)

select count(*) from bought cross join day
where (
    select later.ordered_at from staging.stg_raw__orders as later
    where later.contact_id = bought.contact_id
        and later.ordered_at >= day.closes_at
        and later.ordered_at < day.day_start
        and {_IS_PURCHASE.format("later")}
    order by later.ordered_at
    limit 1
) is null
"""  # noqa: S608 - our own words

_RECENT = """
with days as (
    select distinct run_day.as_of
    from outbox.run_day inner join outbox.run using (run_id)
    where run.state = 'enqueued' and run_day.as_of < :as_of
    order by run_day.as_of desc
    limit :recent_days
)

select count(distinct decision.contact_id) filter (where decision.due_on = decision.as_of)::float8
    / nullif(count(distinct days.as_of), 0)
from days
left join outbox.decision on decision.as_of = days.as_of and decision.campaign = :campaign
    and decision.step = any(:step_keys)
"""

# Of a day that was withheld, the rule that had skipped somebody comes after gate_failed or not_approved.
_REACHED = """
    count(*) filter (where it.skipped_for is null) as reached,
    count(*) filter (where it.skipped_for is null or it.skipped_for in (
        'no_email_consent', 'no_reachable_channel', 'invalid_address', 'suppressed'
    )) as asked
"""
_SKIPPED_FOR = """
    select case
        when decision.decision = 'skip' then decision.reason
        when decision.reason in ('gate_failed', 'not_approved') then decision.reasons[2]
    end as skipped_for
"""

_RECENT_SHARE = f"""
select {_REACHED}
from outbox.decision
cross join lateral ({_SKIPPED_FOR}) as it
where decision.campaign = :campaign and decision.as_of in (
    select run_day.as_of from outbox.run_day inner join outbox.run using (run_id)
    where run.state = 'enqueued' and run_day.as_of < :as_of
    order by run_day.as_of desc
    limit :recent_days
)
"""  # noqa: S608 - no value goes into it

_DUE = """
select 1 from (
    select decided.contact_id from {batch} as decided
    where decided.step = :step and decided.as_of = :as_of and decided.due_on = :as_of
    union
    select earlier.contact_id from outbox.decision as earlier  -- a day that is run again decides only what is open
    where earlier.as_of >= :as_of and earlier.due_on = :as_of
        and earlier.campaign = :campaign and earlier.step = any(:step_keys)
) as due
having count(*) not between :low and :high
"""

_SHARE = f"""
select 1 from (select {_REACHED} from {{batch}} as decision cross join lateral ({_SKIPPED_FOR}) as it) as share
where share.asked >= 20 and share.reached::numeric / share.asked not between :low and :high
"""  # noqa: S608


@dataclass(frozen=True)
class Expected:
    """How many people a step should be due for on a day."""

    campaign: str
    step: str
    step_keys: Sequence[str]
    """Its key, and the one it had before."""
    as_of: date
    people: int
    recent: float | None
    """The mean of up to seven days before; None where there are none."""

    @property
    def low(self) -> int:
        """The fewest that pass."""
        return max(0, math.floor(self.people * (1 - TOLERANCE)) - SLACK)

    @property
    def high(self) -> int:
        """The most that pass."""
        return math.ceil(self.people * (1 + TOLERANCE)) + SLACK

    def rule(self) -> Rule:
        """The expectation as a rule on decisions."""
        recent = "no day before it is known" if self.recent is None else f"{self.recent:.1f} a day lately"
        return Rule(
            f"volume_{self.step}",
            f"{self.step} is due for about {self.people} people on {self.as_of}, by the purchases themselves; "
            f"{self.low} to {self.high} may be decided, over all runs of the day ({recent}).",
            fill(
                _DUE,
                {
                    "campaign": self.campaign,
                    "step": self.step,
                    "step_keys": list(self.step_keys),
                    "as_of": self.as_of,
                    "low": self.low,
                    "high": self.high,
                },
            ),
        )


def expected(connection: psycopg.Connection, judged: Judged) -> Iterator[Expected]:
    """What to expect of each step that counts from the last purchase, on each day of the run."""
    if judged.body["clock"] != "last_purchase" or not judged.body["enabled"]:
        return
    for as_of in judged.days:
        for step in judged.body["steps"]:
            if step["after_days"] is None or not step["enabled"]:
                continue
            bought_on = as_of - timedelta(days=step["after_days"])
            keys = [key for key in (step["key"], step.get("renamed_from")) if key]
            opens_at, closes_at, day_start = (
                local_time(day, time(), judged.body["timezone"]) for day in (bought_on, bought_on + timedelta(1), as_of)
            )
            values = {
                "as_of": as_of,
                "opens_at": opens_at,
                "closes_at": closes_at,
                "day_start": day_start,
                "campaign": judged.campaign,
                "step_keys": keys,
                "recent_days": RECENT_DAYS,
            }
            people = connection.execute(fill(_EXPECTED, values)).fetchone()
            recent = connection.execute(fill(_RECENT, values)).fetchone()
            yield Expected(
                judged.campaign, step["key"], keys, as_of, people[0] if people else 0, recent[0] if recent else None
            )


def share_rule(connection: psycopg.Connection, judged: Judged) -> Rule | None:
    """The share of people who can be reached is what it usually is; None while too little is known of the days before.

    A load that loses all consents sends nothing, which is safe, and would otherwise go unnoticed for weeks.
    """
    values = {"campaign": judged.campaign, "as_of": min(judged.days), "recent_days": RECENT_DAYS}
    row = connection.execute(fill(_RECENT_SHARE, values)).fetchone()
    reached, asked = row if row else (0, 0)
    if asked < SHARE_FROM or not reached:
        return None
    usual = reached / asked
    bounds = {"low": usual / SHARE_FACTOR, "high": min(1.0, usual * SHARE_FACTOR)}
    return Rule(
        "reachable_share_as_usual",
        f"Of those who are due about {usual:.0%} can usually be reached; today the share is neither a quarter of that "
        "nor four times as much.",
        fill(_SHARE, bounds),
    )
