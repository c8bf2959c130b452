"""`winback enqueue`: freezes what the gate let pass."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def enqueue(
        run: Annotated[uuid.UUID, typer.Option(help="The run that `winback gate` has judged.")],
        not_approved: Annotated[
            bool, typer.Option("--not-approved", help="Hold the day of every campaign: nobody said yes.")
        ] = False,
        shards: Annotated[
            int, typer.Option(min=1, envvar="WINBACK_SHARDS", help="Into how many dispatch tasks a live run is split.")
        ] = 1,
    ) -> None:
        """Freeze decisions, coupon grants and messages in the outbox, in one transaction. Asked again, it
        answers the same.

        Refuses a hand-off that is not, row for row, what the gate validated. A simulated run is one shard: it
        has one clock.
        """
        from cli import context, words
        from outbox import enqueue as outbox_enqueue
        from outbox import runs
        from outbox.sql import ledger

        context.use_warehouse()
        try:
            done = outbox_enqueue.enqueue(run, approved=not not_approved)
        except outbox_enqueue.Refused as error:
            runs.fail(run, str(error).splitlines()[0])
            raise
        with ledger() as desk:
            split = shards if runs.find(desk, run).mode == "live" else 1
        typer.echo(
            f"{words.counted(done.messages, 'message')} planned, {words.counted(done.grants, 'code')} set aside"
            + (f"; {words.counted(done.already_there, 'message')} planned before" if done.already_there else "")
            + "".join(f"; {campaign} is held ({reason})" for campaign, reason in done.withheld.items())
            + "."
        )
        context.next_step(f"winback dispatch --run {run}")
        context.result(
            {
                "run_id": run,
                "decisions": done.decisions,
                "requests": done.requests,
                "messages": done.messages,
                "already_there": done.already_there,
                "grants": done.grants,
                "tags_added": done.tags_added,
                "tags_removed": done.tags_removed,
                "withheld": done.withheld,
                "shards": [f"{number}/{split}" for number in range(1, split + 1)],
            }
        )
