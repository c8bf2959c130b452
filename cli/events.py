"""`winback events`: the webhook service."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import context


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""
    group = typer.Typer(no_args_is_help=True)

    @group.command()
    def serve(
        host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(help="The port to listen on.")] = 8180,
    ) -> None:
        """Receive what providers and people tell us, until stopped.

        Point SendGrid's Event Webhook at /events/sendgrid (signed), Twilio's inbound texts at /events/twilio/inbound;
        status callbacks and unsubscribe links find their way by WINBACK_PUBLIC_URL.
        """
        from events.__main__ import serve as run

        context.use_warehouse()
        typer.echo(f"The webhook service listens on http://{host}:{port} (GET /health).")
        run(host, port)

    app.add_typer(group, name="events", help="The webhook service: deliveries, opens, clicks, unsubscriptions.")
