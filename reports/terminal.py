"""The report and an explanation as text, for whoever is at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports import render, words
from reports.explain import Explanation, Line
from reports.publish import Published


def show(done: Published) -> None:
    """Prints the headline, the reasons and where the pages are."""
    page = done.page
    console = Console(file=sys.stdout, highlight=False)
    one = page.first == page.last
    console.print(
        f"\n[bold]{render.long_day(page.last) if one else f'{page.first} to {page.last}'}[/]  {render.lead(page)}"
    )
    console.print(f"Counted up to {render.moment(page.clock, page.timezone)}{_mode(done)}\n")
    head = page.headline
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_row(render.number(head["people_reached"]), "people reached")
    table.add_row(render.number(page.back["people_came_back"]), "came back (bought within 30 days)")
    for row in page.revenue:
        table.add_row(
            f"{render.amount(row['revenue'])} {row['currency']}", f"revenue of {row['orders']} orders, refunds deducted"
        )
    for pool in page.coupons:
        dry = " (empty)" if pool["is_dry"] else f" (dry on {pool['runs_dry_on']})" if pool["runs_dry_on"] else ""
        table.add_row(render.number(pool["codes_left"]), f"codes left of {pool['promotion']}{dry}")
    for row in page.left_out:
        table.add_row(
            render.number(row["contacts"]), f"{words.KINDS[row['kind']].lower()}: {words.reason(row['reason']).title}"
        )
    if head["in_doubt"]:
        table.add_row(render.number(head["in_doubt"]), "messages in doubt: they may or may not have left")
    console.print(table)
    for alert in page.alerts:
        console.print(
            f"[bold]Alert:[/] {alert['title']} ({words.ALERT_STATES.get(alert['state'], alert['state'])})", markup=True
        )
    console.print()
    for path in [*done.pages.values()][-8:]:
        console.print(f"Page: {path}", soft_wrap=True)
    console.print(f"Over the days: {done.index}\n", soft_wrap=True)


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
