"""Makes the pages: one a run, one over the days. Templates put numbers into words and shapes; SQL gives the numbers.

A page is one file: styles and charts are in it, nothing is loaded from anywhere, and it needs no JavaScript.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from reports import words
from reports.read import Page, Row

INDEX = "index.html"


@dataclass(frozen=True)
class Links:
    """Where a page may point to, beside its sister pages. None: there is no such place."""

    data_docs: str | None = None
    inbox: str | None = None


def file_name(run: Row) -> str:
    """`run-2017-10-02-4f1c47ff.html`: the run's last day and the beginning of its id."""
    return f"run-{run['last_as_of'] or 'no-day'}-{str(run['run_id'])[:8]}.html"


def run_page(page: Page, links: Links) -> str:
    """The page of one run, as HTML."""
    return _template("run.html").render(
        page=page, links=links, lead=lead(page), verdicts=verdicts(page.run, page.campaigns)
    )


def days_page(page: Page, links: Links, pages: Mapping[uuid.UUID, str]) -> str:
    """The page over all days of `page`; `pages`: the files of the runs that have one, by run."""
    return _template("days.html").render(page=page, links=links, lead=lead(page), pages=pages)


def write(path: Path, html: str) -> None:
    """Writes a page so that a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(html, encoding="utf-8")
    draft.replace(path)


def lead(page: Page) -> str:
    """The page in a sentence."""
    head = page.headline
    many = len(page.days) > 1
    if not head["evaluated"]:
        if page.run["state"] in {"building", "built", "validated"} and not many:
            return "The run has not come to its end yet. Nothing of it was sent so far."
        if page.run["state"] != "enqueued" and not many:
            return "The run ended before it was decided who is written to. Nothing was sent."
        if not many and page.run["state"] == "enqueued":
            return "This run wrote to nobody: nobody fell due, or an earlier run of the day had decided already."
        return "Nobody fell due, so nobody was written to."
    looked_at = f"{number(head['evaluated'])} {plural(head['evaluated'], 'person was', 'people were')} looked at"
    if many:
        looked_at = f"{len(page.days)} days were run"
    if head["people_reached"]:
        reached = (
            f"{number(head['people_reached'])} {plural(head['people_reached'], 'person was', 'people were')} reached"
        )
        back = page.back["people_came_back"]
        bought = f"{number(back)} of them {plural(back, 'has', 'have')}" if back else "nobody has"
        return f"{looked_at}; {reached}, and {bought} bought since."
    if head["shadow"]:
        return f"{looked_at}; {number(head['shadow'])} would have been written to. In shadow mode nothing is sent."
    if head["waiting"]:
        waiting = plural(head["waiting"], "message is", "messages are")
        return f"{looked_at}; {number(head['waiting'])} {waiting} still waiting."
    return f"{looked_at}, and nobody was reached."


def verdicts(run: Row, titles: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """The gate's word on each campaign of the run."""
    return [
        {
            "title": titles.get(campaign, campaign),
            "is_held": verdict.get("result") == "held",
            "why": [str(item) for item in verdict.get("why") or map(words.plain, verdict.get("failed") or [])],
            "rules": verdict.get("rules"),
        }
        for campaign, verdict in sorted((run["verdict"] or {}).items())
    ]


def number(value: int | None) -> str:
    """`12345` -> `12,345`."""
    return "–" if value is None else f"{value:,}"


def amount(value: Decimal | float | None) -> str:
    """`1234.5` -> `1,234.50`; what nobody knows is a dash."""
    return "–" if value is None else f"{value:,.2f}"


def pace(value: Decimal) -> str:
    """How many a day, no finer than it means something: `16.00` -> `16`, `5.67` -> `5.7`, `0.03` -> `less than 0.1`."""
    if value >= 10 or value == value.to_integral_value():
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if value >= Decimal("0.1") else "less than 0.1"


def plural(count: int, one: str, many: str) -> str:
    """The word that goes with `count`."""
    return one if count == 1 else many


def moment(value: datetime | None, zone: str) -> str:
    """`2 Oct 2017, 05:00 EDT`."""
    if value is None:
        return "the beginning: nothing was run yet"
    local = value.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y, %H:%M %Z}"


def long_day(value: date) -> str:
    """`Monday, 2 October 2017`."""
    return f"{value:%A}, {value.day} {value:%B %Y}"


def short_day(value: date) -> str:
    """`2 October 2017`."""
    return f"{value.day} {value:%B %Y}"


def tiny_day(value: date) -> str:
    """`Mon 2`."""
    return f"{value:%a} {value.day}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, amount=amount, pace=pace, plural=plural, moment=moment, long_day=long_day, short_day=short_day,
        tiny_day=tiny_day, whole=lambda value: f"{value:.0f}", plain=words.plain, reason=words.reason,
        channel=words.channel,
        kind=words.KINDS.__getitem__, stage=words.STAGES.__getitem__, credit=words.CREDITS.__getitem__,
        run_state=lambda code: words.RUN_STATES.get(code, code),
        alert=lambda code: words.ALERTS.get(code) or words.plain(code),
        alert_state=lambda code: words.ALERT_STATES.get(code, code),
        step_words=lambda step, page: words.step(step, page.sisters(step)),
    )  # fmt: skip
    return environment


def _template(name: str) -> Template:
    return _environment().get_template(name)
