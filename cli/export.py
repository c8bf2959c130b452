"""`winback export`: what other systems need to know, with addresses, for a file and never for a log."""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from cli import context
from warehouse.errors import WinbackError


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""
    group = typer.Typer(no_args_is_help=True)

    @group.callback()
    def about() -> None:
        """Lists for other systems."""

    @group.command()
    def suppressions(
        file: Annotated[
            Path | None, typer.Option(help="Where to; readable by you alone. None: the standard output.")
        ] = None,
    ) -> None:
        """Write every address that nobody should write to, as CSV: channel, address, contact_id, reason, since, until.

        Times are ISO 8601 in UTC; an empty until is for good. Without addresses: `select * from
        handoff.suppressions_out`.
        """
        from cli.dispatch import fold_wishes
        from outbox import suppressions as stops
        from outbox.runs import business_now
        from outbox.sql import ledger

        if file is None and context.is_task():
            raise WinbackError(
                "In a task the standard output is a log, and addresses belong in none. Give --file. Nothing was read."
            )
        context.use_warehouse()
        with ledger() as desk:
            at = business_now(desk)
            fold_wishes(desk, at)
            with _out(file) as target:
                rows = _write(target, stops.COLUMNS, stops.suppressed(desk, at=at))
            unknown = stops.without_contact(desk, at=at)
        said = f"{rows} rows written{f' to {file}' if file else ''}."
        if unknown:
            said += (
                f" {unknown} more suppressed addresses belong to no contact any more; only their hashes are kept, "
                "so they cannot be listed."
            )
        typer.echo(said, err=file is None)
        if file is not None:
            context.result({"rows": rows, "without_contact": unknown})

    app.add_typer(group, name="export", help="Lists for other systems: whom nobody should write to.")


def _write(target: IO[str], columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> int:
    writer, count = csv.writer(target), 0
    writer.writerow(columns)
    for row in rows:
        writer.writerow(value.isoformat() if hasattr(value, "isoformat") else value for value in row)
        count += 1
    return count


@contextmanager
def _out(file: Path | None) -> Iterator[IO[str]]:
    """The file, complete or not at all, and its owner's alone. Raises `WinbackError` where it cannot be written."""
    if file is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # made 0600
    except OSError as error:
        raise WinbackError(
            f"{file} cannot be written: {error.strerror}. Expected: a path in a folder that exists. Nothing was read."
        ) from error
    try:
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as target:
            yield target
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
