"""`winback explain`: one person, one day, in plain words."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cli import context, days


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def explain(
        contact: Annotated[str, typer.Argument(help="The contact's id, as in raw.contacts.")],
        as_of: Annotated[
            datetime | None,
            typer.Option(
                help="The day, as 2017-10-02. Default: the last one with a decision about them.",
                parser=days.day,
                metavar="YYYY-MM-DD",
            ),
        ] = None,
        campaign: Annotated[str | None, typer.Option(help="Only this campaign, as winback.")] = None,
    ) -> None:
        """Tell what was decided about a person on a day, why, and what happened next.

        Shows no address. In the line of JSON at the end `messages` counts those of all days and `messages_of_day`
        those of this one.
        """
        from reports import terminal
        from reports.explain import explain as tell

        context.use_warehouse()
        told = tell(contact, as_of.date() if as_of else None, campaign)
        terminal.tell(told)
        context.result(
            {
                "contact_id": told.contact_id,
                "as_of": told.day,
                "decisions": told.decisions,
                "messages": told.messages,
                "messages_of_day": told.messages_of_day,
            }
        )
