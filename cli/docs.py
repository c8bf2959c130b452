"""`winback docs`: the generated pages about every table and column."""

from __future__ import annotations

import typer

from cli import context


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def docs() -> None:
        """Generate dbt's documentation of every table, column and test, with the way of the data between them."""
        from warehouse import dbt, settings

        context.use_warehouse()
        dbt.run(["docs", "generate", "--static"], progress=lambda _: None)
        page = settings.read().local / "dbt" / settings.read().target / "target" / "static_index.html"
        typer.echo(f"The pages are in {page}")
        context.result({"page": str(page)})
