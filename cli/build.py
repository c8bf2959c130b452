"""`winback build`: opens a run for a day and lets dbt decide who gets what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall_time
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from cli import days
from warehouse.clock import LIVE, SIMULATED, shown
from warehouse.errors import WinbackError

if TYPE_CHECKING:
    import uuid

    import psycopg

    from campaigns.definition import Bundle
    from outbox.notices import Notifier


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def build(
        as_of: Annotated[datetime, typer.Option(parser=days.day, metavar="YYYY-MM-DD", help="The day, 2017-10-01.")],
        clock: Annotated[
            str | None,
            typer.Option(help="The simulated time of the run (ISO 8601, with zone); default: its build hour."),
        ] = None,
        holder: Annotated[
            str | None,
            typer.Option(
                envvar="WINBACK_HOLDER", help="Who runs this: only the same holder may take the run up again."
            ),
        ] = None,
        wait: Annotated[int, typer.Option(min=0, help="How many minutes to wait for another run to be done.")] = 45,
        full_refresh: Annotated[
            bool,
            typer.Option(
                "--full-refresh",
                help="Make every table of dbt's anew from the raw ones: after an upgrade that says so, or when history "
                "was corrected without a word in updated_at. Ledger and history stay.",
            ),
        ] = False,
    ) -> None:
        """Decide a day: one dbt build, from cohorts to the hand-off. Nothing is granted or sent by it.

        Simulated while every sender is the local sandbox, live otherwise. The team is told at once of a pool
        that ran dry.
        """
        from campaigns import definition
        from cli import context
        from outbox import runs
        from outbox.sql import ledger
        from senders import registry
        from warehouse import dbt, settings

        day = as_of.date()
        context.use_warehouse()
        simulated = context.use_senders() and registry.all_sandboxed()
        notifier = registry.notifier()
        bundle = definition.load_all(settings.read().campaigns)
        with ledger() as desk:
            check_mode(desk, SIMULATED if simulated else LIVE)
            now = run_clock(bundle, day, clock, present=runs.database_now(desk), simulated=simulated)
            runs.register(desk, bundle)
            runs.check_keys(desk, bundle, day)
        plan = runs.Plan(
            mode=SIMULATED if simulated else LIVE,
            clock=now,
            days={day: now},
            definition_hash=bundle.hash,
            target=settings.read().target,
            holder=holder or context.holder(),
        )
        if simulated:
            context.tell_sandbox(now)
        with runs.building(plan, wait=timedelta(minutes=wait), progress=typer.echo) as run_id:
            typer.echo(f"Run {run_id}: {day}, {plan.mode}, at {shown(now)}.")
            try:
                dbt.run([*dbt.BUILD, "--full-refresh"] if full_refresh else dbt.BUILD, progress=typer.echo)
                runs.mark_built(run_id)
            except (Exception, KeyboardInterrupt) as error:
                runs.fail(run_id, _summary(error))
                with ledger() as desk:
                    _tell_of_failure(desk, notifier, day, now, error)
                raise
        with ledger() as desk:
            titles: list[str] = []
            told = _tell_of_pools(desk, notifier, run_id, now, titles.append)
        context.next_step(f"winback gate --run {run_id}")
        context.result(
            {"run_id": run_id, "as_of": day, "mode": plan.mode, "clock": now, "notices": told, "alerts": titles}
        )


def check_mode(desk: psycopg.Connection, mode: str) -> None:
    """Raises `WinbackError` where the ledger holds runs of the other kind.

    What a simulation did to people (messages, codes, bounces, opt-outs) must not count for real, nor the reverse.
    """
    from outbox.sql import queries

    if queries.runs_of_another_mode(desk, mode=mode):
        other = LIVE if mode == SIMULATED else SIMULATED
        raise WinbackError(
            f"This run would be {mode}, and the ledger of this warehouse holds {other} runs: the people, codes and "
            "opt-outs of a simulation would count for real. Use another database (WINBACK_DATABASE_URL) for one of "
            "them. Nothing was decided and nothing was sent."
        )


def run_clock(bundle: Bundle, day: date, told: str | None, *, present: datetime, simulated: bool) -> datetime:
    """The run's business time. Simulated: the day's build hour, or what was told. Live: the database's present.

    Raises `WinbackError` for a day that has not begun in the campaigns' zone, and for a told time in a live run.
    """
    from warehouse.clock import local_time

    today = present.astimezone(ZoneInfo(bundle.timezone)).date()
    if day > today:
        raise WinbackError(
            f"--as-of {day} lies in the future: it is {today} in {bundle.timezone}. Nothing was decided and "
            "nothing was sent."
        )
    if told is None:
        return local_time(day, wall_time.fromisoformat(bundle.build_at), bundle.timezone) if simulated else present
    if not simulated:
        raise WinbackError(
            "--clock is for simulated runs only, and at least one sender's connection is no sandbox. Nothing "
            "was decided."
        )
    return aware(told)


def aware(told: str) -> datetime:
    """An instant given on the command line. Raises `typer.BadParameter` when it cannot be read or has no zone."""
    try:
        instant = datetime.fromisoformat(told)
    except ValueError as error:
        raise typer.BadParameter(
            f"{told!r} is no ISO 8601 time, such as 2017-10-01T05:00-04:00", param_hint="--clock"
        ) from error
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{told!r} has no zone; write 2017-10-01T05:00-04:00", param_hint="--clock")
    return instant.astimezone(UTC)


def _summary(error: BaseException) -> str:
    """What went wrong in one line, without the values that a database may quote."""
    lines = str(error).split("DETAIL:")[0].splitlines()
    return (lines[0] if lines else type(error).__name__)[:500]


def _tell_of_failure(
    desk: psycopg.Connection, notifier: Notifier, day: date, at: datetime, error: BaseException
) -> None:
    from outbox import notices

    notice = notices.Notice(
        notices.RUN_FAILED,
        "build",
        day,
        f"The run of {day} failed while it was being built",
        f"{_summary(error)}\n\nNothing of this day was granted or sent. Mend the cause and run the day again; "
        "the next days catch up on it within the campaigns' max_late_days.",
    )
    notices.post(desk, notice, at=at)
    notices.send(desk, notifier, at=at)


def _tell_of_pools(
    desk: psycopg.Connection, notifier: Notifier, run_id: uuid.UUID, at: datetime, told: Callable[[str], None]
) -> Counter[str]:
    """Raises what the models ask for and sends it at once, before any gate can stop the run."""
    from outbox import notices

    notices.post_requested(desk, run_id, at=at)
    return notices.send(desk, notifier, at=at, told=told)
