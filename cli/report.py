"""`winback report`: the pages a marketer reads, and their summary on the terminal."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli import context, days


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def report(
        run: Annotated[UUID | None, typer.Option(help="Only this run's page.")] = None,
        as_of: Annotated[
            datetime | None,
            typer.Option(
                parser=days.day,
                metavar="YYYY-MM-DD",
                help="Only the pages of this day's runs, and anew those of the seven days before it.",
            ),
        ] = None,
        first: Annotated[
            datetime | None,
            typer.Option(
                "--from", parser=days.day, metavar="YYYY-MM-DD", help="The page over the days begins with this one."
            ),
        ] = None,
        last: Annotated[
            datetime | None,
            typer.Option(
                "--to", parser=days.day, metavar="YYYY-MM-DD", help="The page over the days ends with this one."
            ),
        ] = None,
        out: Annotated[Path | None, typer.Option(help="Folder for the pages.  [default: .local/reports]")] = None,
    ) -> None:
        """Write the report: a page for each run, and one over the days (.local/reports/index.html).

        Without options: of the last 31 days. It also works for a run that failed or that the gate held back. It reads
        what dbt, the outbox and the webhooks recorded, as an analyst.
        """
        from reports import publish, read, render, terminal
        from warehouse import settings

        context.use_warehouse()
        _close_unfinished()
        local = settings.read().local
        choice = publish.Choice(
            run_id=run,
            as_of=as_of.date() if as_of else None,
            first=first.date() if first else None,
            last=last.date() if last else None,
        )
        folder = out or local / "reports"
        links = render.Links(data_docs=_data_docs(local, folder), inbox=_inbox())
        try:
            done = publish.publish(choice, folder, links)
        except read.NothingToReportError as nothing:
            if not context.is_task():
                raise
            # The day's run has not begun, or failed before: that is said elsewhere, and no failure of this.
            typer.echo(str(nothing))
            context.result({"pages": []})
            return
        terminal.show(done)
        context.result(
            {
                "index": str(done.index),
                "pages": [str(path) for path in done.pages.values()],
                "people_reached": done.page.headline["people_reached"],
                "people_came_back": done.page.back["people_came_back"],
                "orders": done.page.back["orders"],
            }
        )


def _close_unfinished() -> None:
    """As the last task of a DAG run: a run of it that is still open has failed, and must not keep others out."""
    if not context.is_task():
        return
    from outbox import runs
    from reports import read

    run_id = read.unfinished_run(context.holder())
    if run_id:
        runs.fail(
            run_id, "A task of its DAG run failed or was stopped before anything was handed over; its log says why"
        )


def _data_docs(local: Path, folder: Path) -> str | None:
    """The gate's Data Docs, from the pages' folder, where they were written on this machine."""
    page = local / "data_docs" / "index.html"
    return os.path.relpath(page, folder) if page.exists() else None


def _inbox() -> str | None:
    """The running sandbox's inbox; None where none runs."""
    from local.sandbox import server

    handle = server.running()
    return handle.inbox_url if handle else None
