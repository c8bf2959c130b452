"""The command itself: its verbs, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from typing import Annotated, NoReturn

import typer

from warehouse.errors import Misconfigured, WinbackError

app = typer.Typer(
    name="winback",
    help="Brings lapsed customers back: dbt decides, the outbox remembers, the senders speak, Airflow says when.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"winback {version('winback')}")
        raise typer.Exit


@app.callback()
def _command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Brings lapsed customers back: dbt decides, the outbox remembers, the senders speak, Airflow says when."""


VERBS: tuple[str, ...] = (
    "db",
    "doctor",
    "load",
    "import_history",
    "run",
    "airflow",
    "ready",
    "build",
    "gate",
    "enqueue",
    "dispatch",
    "report",
    "explain",
    "preview",
    "send_test",
    "release",
    "suppress",
    "forget",
    "export",
    "docs",
    "sandbox",
    "events",
)
"""One module each; a module registers itself on `app` through its `register(app)`."""


def register(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The command with its verbs."""
    for verb in verbs:
        if importlib.util.find_spec(f"cli.{verb}") is None:
            continue
        importlib.import_module(f"cli.{verb}").register(app)
    return app


def main() -> None:
    """Runs the command: exit 0 only on success, 1 for what a user can mend, 75 for what may do later as it is,
    2 for a wrong call."""
    try:
        register()()
    except (WinbackError, Misconfigured) as error:
        _end(error)
    except Exception as error:
        driver = sys.modules.get("psycopg")  # a verb that never needed it does not load it to end
        if driver is None or not isinstance(error, driver.Error):
            raise
        from warehouse.refusals import refused

        _end(refused(error))


def _end(error: Exception) -> NoReturn:
    sys.stderr.write(f"winback: {error}\n")
    sys.exit(getattr(error, "exit_code", 1))
