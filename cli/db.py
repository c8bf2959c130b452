"""`winback db`: the warehouse's server and its schemas."""

from __future__ import annotations

import typer

from cli import context


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
        """Stop the embedded PostgreSQL. Its data stays under .local/postgres."""
        from local import postgres

        typer.echo("The embedded server is stopped." if postgres.stop() else "The embedded server was not running.")

    @group.command()
    def url() -> None:
        """Print the warehouse's URL, password included, for psql and other tools."""
        typer.echo(context.use_warehouse())

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
