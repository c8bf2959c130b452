"""`winback doctor`: what one needs before going live, line by line, and what to do about the rest."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from cli import context
from cli.checkup import Check, Status, ask

SECONDS = 45.0


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def doctor(
        seconds: Annotated[
            float, typer.Option(min=1, help="How long each part may take; they are asked side by side.")
        ] = SECONDS,
    ) -> None:
        """Check what going live needs: warehouse, tables, campaigns, providers, webhooks, DNS, alerts.

        Changes nothing and sends nothing. Each line is ok, warning or failed, with what to do. Exits 1 where one
        failed. It sees the connections of this process's environment (AIRFLOW_CONN_...), as every verb does.
        """
        count: Counter[str] = Counter()
        for line in ask(checks(), seconds):
            count[line.status] += 1
            typer.echo(f"{line.status:<8} {line.subject:<20} {line.words}")
            if line.advice and line.status is not Status.OK:
                typer.echo(f"{'':<8} {'':<20} -> {line.advice}")
        typer.echo(
            "Not ready to go live: mend what failed, then ask again."
            if count[Status.FAILED]
            else "Nothing stands in the way of going live. `winback send-test` shows a message in your own inbox."
        )
        context.result({status.value: count[status] for status in Status})
        if count[Status.FAILED]:
            raise typer.Exit(1)


def checks() -> dict[str, Check]:
    """Every part of the check-up, by what it is about, in the order of its lines."""
    from cli import doctor_domain, doctor_senders, doctor_warehouse

    return {
        "campaigns": doctor_warehouse.campaigns,
        "warehouse": doctor_warehouse.warehouse,
        **doctor_senders.checks(),
        **doctor_domain.checks(),
    }
