"""`winback db`: the warehouse's server and its schemas."""

from __future__ import annotations

import os
import sys
from typing import Annotated
from urllib.parse import unquote, urlsplit, urlunsplit

import typer

from cli import context
from warehouse.connect import Role, connect

OWNER = "owner"
"""The login itself, as which data are loaded."""


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""
    group = typer.Typer(no_args_is_help=True)

    @group.command()
    def start() -> None:
        """Start the embedded PostgreSQL (nothing to do when WINBACK_DATABASE_URL is set)."""
        from warehouse.connect import without_password

        typer.echo(f"The warehouse is {without_password(context.use_warehouse())}")

    @group.command()
    def stop() -> None:
        """Stop the embedded PostgreSQL. Its data stays under .local/postgres; `winback sandbox stop` ends the rest."""
        from local import postgres
        from local.sandbox import server

        typer.echo("The embedded server is stopped." if postgres.stop() else "The embedded server was not running.")
        if any(it.is_running() for it in server.instances()):
            typer.echo("The sandbox and its webhook service still run: `winback sandbox stop` stops them.")

    @group.command()
    def url() -> None:
        """Print the warehouse's URL, password included, for psql and other tools."""
        typer.echo(context.use_warehouse())

    @group.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def psql(
        arguments: typer.Context,
        role: Annotated[
            str,
            typer.Option(
                help="What the session may do: winback_analyst reads all but addresses, owner is the login itself."
            ),
        ] = Role.ANALYST,
    ) -> None:
        """Open psql on the warehouse, or pass it arguments: winback db psql -c 'select ...'.

        It is the embedded server's own psql, which knows older servers, too.
        """
        from local import postgres

        if role not in (known := [*(each.value for each in Role if each.value), OWNER]):
            raise typer.BadParameter(f"{role!r} is no role; there are {', '.join(known)}", param_hint="--role")
        url = context.use_warehouse()
        connect(Role.OWNER if role == OWNER else Role(role)).close()  # what stands in the way is told in our words
        program = str(postgres.binaries() / "psql")
        parts = urlsplit(url)
        login, at, server = parts.netloc.rpartition("@")
        if parts.password is not None:  # in the environment: every user of the machine can read arguments
            os.environ["PGPASSWORD"] = unquote(parts.password)
        os.environ["PGOPTIONS"] = f"-c timezone=UTC{'' if role == OWNER else f' -c role={role}'}"
        target = urlunsplit(parts._replace(netloc=f"{login.partition(':')[0]}{at}{server}"))
        sys.stdout.flush()
        os.execv(program, [program, "--dbname", target, *arguments.args])  # noqa: S606 - it becomes psql

    @group.command()
    def migrate() -> None:
        """Create or update the outbox and events schemas, the roles, and what is missing of the raw contract."""
        from warehouse.migrate import migrate as apply

        context.use_warehouse()
        applied = apply()
        for migration in applied:
            typer.echo(f"applied {migration.name}")
        if not applied:
            typer.echo("Nothing to do: the warehouse is up to date.")

    app.add_typer(group, name="db", help="The warehouse: its embedded server and its schemas.")
