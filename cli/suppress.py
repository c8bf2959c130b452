"""`winback suppress`: never write to this person, or to anybody on this list, again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli import context, words
from senders.contract import CHANNELS


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def suppress(
        by: Annotated[str, typer.Option(help="Who says so: kept with the suppression.")],
        contact: Annotated[str | None, typer.Argument(help="The contact's id, as in raw.contacts.")] = None,
        file: Annotated[
            Path | None,
            typer.Option(
                help="In place of a contact: a CSV with channel,address, or as `winback export suppressions` writes it."
            ),
        ] = None,
        channel: Annotated[
            list[str] | None, typer.Option(help="email, sms or webpush; may be given again. None: all of them.")
        ] = None,
        at: Annotated[
            datetime | None, typer.Option(help="Since when (UTC); none: now, or where a simulation stands.")
        ] = None,
    ) -> None:
        """Suppress a contact's present address, phone and browsers, for every campaign and for whoever shares them.

        With --file every address of another system's stop list, all of it or nothing, whether a contact has it or not.
        """
        from outbox.runs import business_now
        from outbox.sql import ledger
        from outbox.suppressions import suppress as write

        if (contact is None) is (file is None) or (file and channel):
            raise typer.BadParameter(
                "give the id of a contact, or --file with a list (without --channel: its lines say which)"
            )
        channels = channel or list(CHANNELS)
        if unknown := sorted(set(channels) - set(CHANNELS)):
            raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(CHANNELS)}", param_hint="--channel")
        context.use_warehouse()
        with ledger() as connection:
            since = at.replace(tzinfo=at.tzinfo or UTC) if at else business_now(connection)
            added = write(connection, contact, channels, by=by, at=since) if contact is not None else []
        if file is not None:
            _honour(file, by, since)
        else:
            stopped = ", ".join(words.CHANNELS[each] for each in added)
            typer.echo(
                f"Contact {contact}: {stopped} suppressed."
                if added
                else f"Contact {contact} has nothing there that was not suppressed already."
            )
            context.result({"suppressed": added})


def _honour(file: Path, by: str, since: datetime) -> None:
    from outbox import stop_lists

    done = stop_lists.honour(file, by=by, at=since)
    before = done.addresses - done.over - done.suppressed
    typer.echo(
        f"{words.counted(done.lines, 'line')} read: "
        f"{words.counted(done.suppressed, 'address', 'addresses')} suppressed, {before:,} by an earlier list already, "
        f"{done.over:,} whose time is over."
    )
    context.result(asdict(done))
