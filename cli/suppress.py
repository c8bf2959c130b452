"""`winback suppress`: never write to this person's address or phone again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli import context


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def suppress(
        contact: Annotated[str, typer.Argument(help="The contact's id, as in raw.contacts.")],
        by: Annotated[str, typer.Option(help="Who says so: kept with the suppression.")],
        channel: Annotated[list[str] | None, typer.Option(help="email or sms; may be given again. None: both.")] = None,
        at: Annotated[
            datetime | None, typer.Option(help="Since when (UTC); none: now, or where a simulation stands.")
        ] = None,
    ) -> None:
        """Suppress a contact's present address and phone, for every campaign and for whoever shares them."""
        from outbox.runs import business_now
        from outbox.sql import ledger
        from outbox.suppressions import suppress as write

        channels = channel or ["email", "sms"]
        if unknown := sorted(set(channels) - {"email", "sms"}):
            raise typer.BadParameter(f"{unknown[0]!r} is neither email nor sms", param_hint="--channel")
        context.use_warehouse()
        with ledger() as connection:
            since = at.replace(tzinfo=at.tzinfo or UTC) if at else business_now(connection)
            added = write(connection, contact, channels, by=by, at=since)
        done = " and ".join(added)
        typer.echo(f"Contact {contact}: {done} suppressed." if added else f"Contact {contact} was suppressed already.")
        context.result({"suppressed": added})
