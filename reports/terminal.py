"""The report and an explanation as text, for whoever is at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports import render, words
from reports.explain import Explanation, Line
from reports.publish import Published
from reports.read import Page
from warehouse import clock


def show(done: Published) -> None:
    """Prints the headline, the reasons and where the pages are."""
    page = done.page
    console = Console(file=sys.stdout, highlight=False)
    one = page.first == page.last
    console.print(
        f"\n[bold]{f'{page.last} ({page.last:%A})' if one else f'{page.first} to {page.last}'}[/]  {render.lead(page)}"
    )
    until = clock.shown(page.clock, page.timezone) if page.clock else "the beginning: nothing was run yet"
    console.print(f"Counted up to {until}{_mode(done)}\n")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    for value, what in _rows(page):
        table.add_row(value, what)
    console.print(table)
    for alert in page.alerts:
        console.print(
            f"[bold]Alert:[/] {alert['title']} ({words.ALERT_STATES.get(alert['state'], alert['state'])})", markup=True
        )
    console.print()
    for path in [*done.pages.values()][-8:]:
        console.print(f"Page: {path}", soft_wrap=True)
    console.print(f"Over the days: {done.index}\n", soft_wrap=True)


def _rows(page: Page) -> Iterator[tuple[str, str]]:
    """The figures and what each of them counts."""
    head, back = page.headline, page.back["people_came_back"]
    yield render.number(head["people_reached"]), f"{render.plural(head['people_reached'], 'person', 'people')} reached"
    yield (
        render.number(back),
        f"{render.plural(back, 'person', 'people')} came back (bought within 30 days; {_compared(page)})",
    )
    for row in page.revenue:
        orders = f"{render.number(row['orders'])} {render.plural(row['orders'], 'order', 'orders')} of theirs"
        yield f"{render.amount(row['revenue'])} {row['currency']}", f"revenue of {orders}, refunds deducted"
    for pool in page.coupons:
        dry = " (empty)" if pool["is_dry"] else f" (dry on {pool['runs_dry_on']})" if pool["runs_dry_on"] else ""
        yield (
            render.number(pool["codes_left"]),
            f"{render.plural(pool['codes_left'], 'code', 'codes')} left of {pool['promotion']}{dry}",
        )
    for row in page.left_out:
        kind, title = words.KINDS[row["kind"]], words.reason(row["reason"]).title
        yield render.number(row["contacts"]), kind.lower() if kind == title else f"{kind.lower()}: {title}"
    if head["in_doubt"]:
        many = render.plural(head["in_doubt"], "message", "messages")
        yield render.number(head["in_doubt"]), f"{many} in doubt: may or may not have left"


def _compared(page: Page) -> str:
    """How the number stands beside those who were left alone."""
    if len({row["campaign"] for row in page.holdout}) > 1:
        return "the page compares each campaign's with those left alone"
    if not page.holdout or any(row["is_too_small"] for row in page.holdout):
        return "too few were left alone to compare them"
    shares = " and ".join(
        f"{row['percent']} % of those {'to be written to' if row['arm'] == 'written_to' else 'left alone'}"
        for row in page.holdout
    )
    return f"{shares}{' so far' if any(row['is_still_watched'] for row in page.holdout) else ''}"


def _mode(done: Published) -> str:
    return " · simulated: nothing left this machine" if done.page.run["mode"] == "simulated" else ""


def tell(told: Explanation) -> None:
    """Prints an explanation, part by part."""
    console = _console()
    console.print()
    console.print(Text.assemble((f"Contact {told.contact_id}", "bold"), f" · {told.person}"))
    for number, stop in enumerate(told.stops):
        console.print(Text.assemble(("On the stop list: " if not number else "                  ", "bold"), stop))
    console.print(Text(f"{told.heading}; counted up to {told.counted_up_to}", "dim"))
    _heading(console, "What was decided")
    for verdict in told.verdicts:
        console.print(Text(verdict.title, "bold"))
        for reason in verdict.reasons:
            console.print(Padding(Text(reason), (0, 0, 0, 2)))
        console.print(Padding(Text(f"It saw: {'; '.join(verdict.seen)}.", "dim"), (0, 0, 0, 2)))
    for note in told.notes:
        console.print(Text(note))
    _lines(console, "Before", told.before)
    _lines(console, "What happened next", told.after)
    if not told.after:
        console.print("\nNothing has happened since.")
    console.print()


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold underline"))


def _lines(console: Console, title: str, lines: Sequence[Line]) -> None:
    if not lines:
        return
    _heading(console, title)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for line in lines:
        table.add_row(Text(line.when), Text(line.what))
    console.print(table)


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
