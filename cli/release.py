"""`winback release`: a person says what became of a message in doubt."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Annotated

import typer


class Fate(StrEnum):
    """What can have become of it."""

    NEVER_LEFT = "never-left"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


STATES = {Fate.NEVER_LEFT: "planned", Fate.ACCEPTED: "accepted", Fate.REJECTED: "rejected"}


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def release(
        message: Annotated[uuid.UUID, typer.Argument(help="The message's id, as `winback explain` shows it.")],
        by: Annotated[str, typer.Option(help="Your name: it is kept with the attempt.")],
        evidence: Annotated[str, typer.Option(help="How you know: the provider's log, a ticket.")],
        fate: Annotated[
            Fate, typer.Option(help="What became of it. One that never left is planned again, and sent.")
        ] = Fate.NEVER_LEFT,
    ) -> None:
        """Settle a message in doubt: it may have left, so nothing sends it again until a person knows better."""
        from cli import context
        from outbox import outcomes
        from outbox.sql import ledger

        for name, text in (("--by", by), ("--evidence", evidence)):
            if not text.strip():
                raise typer.BadParameter("must say something: it is kept with the attempt", param_hint=name)
        context.use_warehouse()
        with ledger() as desk:
            what = outcomes.settle(desk, message, STATES[fate], by=by.strip(), evidence=evidence.strip())
        typer.echo(f"{what}: the message is {STATES[fate]}.")
        context.result({"message_id": message, "state": STATES[fate], "by": by.strip()})
