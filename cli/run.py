"""`winback run`: the daily DAG, through Airflow itself, one day or several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from cli import days
from warehouse.errors import WinbackError

if TYPE_CHECKING:
    from cli.run_view import View


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def run(
        as_of: Annotated[
            datetime, typer.Option(parser=days.day, metavar="YYYY-MM-DD", help="The day to run, 2017-10-01.")
        ],
        to: Annotated[
            datetime | None, typer.Option(parser=days.day, metavar="YYYY-MM-DD", help="The last day of several.")
        ] = None,
        approve: Annotated[bool, typer.Option(help="Say yes beforehand where a live run would ask a person.")] = False,
        keep_going: Annotated[bool, typer.Option(help="Go on with the next day after one that failed.")] = False,
    ) -> None:
        """Run the daily DAG through Airflow, without a scheduler: ready, build, gate, enqueue, dispatch, report.

        Simulated while every sender is the local sandbox: the day then steps through its hours, and nothing leaves
        this machine. Running a day again decides, grants and sends nothing twice.
        """
        first, last = as_of.date(), (to or as_of).date()
        if last < first:
            raise typer.BadParameter(f"{last} lies before {first}", param_hint="--to")
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        raise typer.Exit(run_days(days, approve=approve, keep_going=keep_going))


def run_days(days: Sequence[date], *, approve: bool = False, keep_going: bool = False) -> int:
    """Runs the DAG for each day in turn and shows how it goes. Returns 0 when every day's run succeeded, otherwise the
    exit code of the first verb that failed (75: `ready` says not yet), 1 where none did.

    Raises `WinbackError` when a scheduler is running the same DAG, or Airflow's metadata cannot be made.
    """
    from cli import context, run_view
    from local import airflow
    from warehouse import settings

    context.use_warehouse()
    values = airflow.ensure()
    if airflow.is_scheduled(values):
        raise WinbackError(
            "A scheduler is running, and winback_daily is switched on: it would take this run for its own. Trigger the "
            f'day there (`winback airflow dags trigger winback_daily --conf \'{{"as_of": "{days[0]}"}}\'`), or pause '
            "the DAG first (`winback airflow dags pause winback_daily`). Nothing was run."
        )
    names = [day.isoformat() for day in days]
    order = {"days": names, "conf": {"approve": approve}, "keep_going": keep_going}
    log = _log_file(settings.read().local / "logs", days)
    view = run_view.View(sys.stdout, log, names)
    with log.open("w") as file:
        code = _follow([sys.executable, "-m", "local.airflow_days", json.dumps(order)], values, file, view)
    view.close(code)
    return (view.code or 1) if code else 0


def _follow(command: Sequence[str], values: dict[str, str], file: TextIO, view: View) -> int:
    # A person at a terminal decides about another try: see WinbackOperator.
    process = subprocess.Popen(
        command,
        env={**values, "WINBACK_RETRIES": os.environ.get("WINBACK_RETRIES", "0"), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        for line in process.stdout or ():
            file.write(line)
            view.see(line.rstrip("\n"))
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()  # the terminal has told Airflow, too: let it end its task
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _log_file(folder: Path, days: Sequence[date]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"run-{days[0]}-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.getpid()}.log"
