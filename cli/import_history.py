"""`winback import-history`: what another tool sent before Winback went live, so that nobody gets it twice."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli import context, words
from warehouse.errors import unreadable


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command("import-history")
    def import_history(
        file: Annotated[
            Path,
            typer.Argument(help="CSV in UTF-8 with contact_id, campaign, step, sent_on[, channel, episode_on]."),
        ],
    ) -> None:
        """Mark steps that another tool already sent: Winback will not send them again.

        All of the file or nothing; reading it again changes nothing. Without episode_on an episode began the step's
        days before it was sent, and one that overlaps it counts as the same.
        """
        from campaigns import definition
        from cli import raw_contract
        from local import progress
        from outbox import imports
        from warehouse import settings

        total = _rows(file)
        bundle = definition.load_all(settings.read().campaigns)
        steps = imports.steps_of({name: found.document() for name, found in bundle.campaigns.items()})
        context.use_warehouse()
        with progress.shown({file.name: total}, sys.stdout) as told:
            done = imports.import_history(
                file, steps, raw_contract.tables()["contacts"], lambda rows: told(file.name, rows)
            )
        typer.echo(
            f"{words.counted(done.lines, 'line')} read: {words.counted(done.added, 'step')} marked as sent, "
            f"{done.already_there:,} marked before, {done.repeated:,} repeated in the file."
        )
        if done.unknown_contacts:
            where = imports.lines_named(done.unknown_lines, done.unknown_contacts)
            typer.echo(
                f"{words.counted(done.unknown_contacts, 'line names', 'lines name')} a contact that "
                f"{'.'.join(raw_contract.tables()['contacts'])} does not have ({where}). Their steps are marked, too: "
                "should the contacts be loaded later, they are left alone. Check that contact_id is the shop's own id."
            )
        context.result({name: value for name, value in asdict(done).items() if name != "unknown_lines"})


def _rows(file: Path) -> int:
    """About how many rows the file has, for the progress bar. Raises `WinbackError` where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return max(sum(chunk.count(b"\n") for chunk in iter(lambda: opened.read(1 << 20), b"")) - 1, 0)
    except OSError as error:
        raise unreadable(file, error, "Nothing was imported.") from error
