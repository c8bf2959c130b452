"""`winback dispatch`: sends what is due."""

from __future__ import annotations

import logging
import signal
import sys
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from datetime import time as wall_time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import days
from warehouse.errors import Misconfigured, TryLater, WinbackError

if TYPE_CHECKING:
    import psycopg

    from outbox.claims import Shard
    from outbox.dispatch import Dispatched
    from outbox.runs import Run

log = logging.getLogger("winback.dispatch")
STOPPED = 128 + signal.SIGTERM
"""Exit code after SIGTERM: what was in hand is recorded, the rest stays planned."""


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def dispatch(
        run: Annotated[
            uuid.UUID | None, typer.Option(help="The run whose day is stepped through, when simulated.")
        ] = None,
        as_of: Annotated[
            datetime | None,
            typer.Option(parser=days.day, metavar="YYYY-MM-DD", help="The same by its day: the newest run of it."),
        ] = None,
        shard: Annotated[str, typer.Option(help="Which part of the contacts, 1/4: one of four processes.")] = "1/1",
        clock: Annotated[str | None, typer.Option(help="Where a simulated day begins (ISO 8601, with zone).")] = None,
        connections: Annotated[int, typer.Option(min=1, help="How many batches are sent at once.")] = 4,
    ) -> None:
        """Send what is due, once, whichever run planned it; the ledger lets no message out twice.

        Live: one pass over what is due now. Simulated: steps the sandbox's clock through the day, up to the
        next send hour. Exits 75 when a provider could not be reached: its messages stay planned, try again later. Until
        their next try is due it is not asked again: exit 0, and a line says what waits, since when and until when.
        """
        from cli import context, words
        from outbox import runs
        from outbox.dispatch import Dispatcher
        from outbox.sql import ledger, queries
        from senders import registry

        part = parse_shard(shard)
        context.use_warehouse()
        simulated = context.use_senders() and registry.all_sandboxed()
        with ledger() as desk:
            day = _run(desk, run, as_of, simulated=simulated)
            if clock and not simulated:
                raise WinbackError(
                    "--clock is for simulated runs only, and at least one sender's connection is no sandbox."
                )
            dispatcher = Dispatcher(
                registry.Senders(asks_first=True), shard=part, connections=connections, progress=typer.echo
            )
            signal.signal(signal.SIGTERM, lambda *_: dispatcher.stop())
            now = day.clock if day and simulated else runs.database_now(desk)
            fold_landed(desk, now, stopping=dispatcher.shared.stopping.is_set)
            if not dispatcher.shared.stopping.is_set():
                look_up_doubtful(desk, now)
            if not simulated:
                done, at = dispatcher.live(), runs.database_now(desk)
            elif day is None:
                typer.echo("No simulated run has been enqueued: there is nothing to send.")
                done, at = None, runs.database_now(desk)
            else:
                from cli.build import aware

                start, at = aware(clock) if clock else day.clock, next_send_hour(desk, day)
                done = dispatcher.simulated(start, at, tell=context.tell_sandbox)
            titles: list[str] = []
            told = _send_notices(desk, at, titles.append)
            states = (
                {row["state"]: row["messages"] for row in queries.states_of_run(desk, run_id=day.run_id)} if day else {}
            )
        if done is not None:
            typer.echo(words.sent(done.sent_now, done.totals, waits=bool(done.resting)))
            for waiting in (*done.put_off.values(), *done.resting.values(), *done.waiting.values()):
                typer.echo(str(waiting))
        ids = {"run_id": day.run_id if day else None, "messages": states, "notices": told, "alerts": titles}
        context.result({**_summary(done), **ids})
        if dispatcher.shared.stopping.is_set():
            raise typer.Exit(STOPPED)
        complain(done)


def fold_landed(desk: psycopg.Connection, clock: datetime, *, stopping: Callable[[], bool] = lambda: False) -> None:
    """Folds in the days of `raw.provider_events` in which something has landed since they were read. Commits.

    The shards do so in turn: what the first has read the others find read, and none sends before. `clock` is the
    business time, by which a row from the future is known. `stopping` true ends it; what was not read yet is read by
    the next dispatch.
    """
    from cli import raw_contract
    from events import intake
    from outbox import landed

    table = raw_contract.tables()["provider_events"]

    def read(day: date) -> None:
        intake.fold_day(desk, day, table=table, stopping=stopping)

    with landed.in_turn(desk, stopping=stopping) as mine:
        if not mine:
            log.info("Another dispatch has been reading %s for a while: it is read here, too.", ".".join(table))
        everything, since = landed.is_everything_due(desk), intake.horizon(desk, clock=clock, table=table)
        counts = intake.count_days(desk, since=None if everything else since, table=table)
        changed = landed.read_changed(desk, counts, read, stopping=stopping)
        if behind := sum(counts[day] for day in changed if day < since.date()):
            log.info(
                "%s: read in days that lie more than %s days behind the newest row, which were new or had changed: %s "
                "row(s).",
                ".".join(table),
                intake.HORIZON.days,
                f"{behind:,}",
            )
        if everything and not stopping():
            landed.mark_everything(desk)


def fold_wishes(desk: psycopg.Connection, clock: datetime) -> None:
    """What people and providers have said since the last dispatch becomes suppressions: for whoever asks who is on the
    stop list in between. Commits."""
    from outbox import outcomes

    fold_landed(desk, clock)
    outcomes.fold_preferences(desk)


def look_up_doubtful(desk: psycopg.Connection, clock: datetime) -> None:
    """Settles messages in doubt that a provider's own log has. A log that may not be read hinders no sending."""
    from outbox import reconcile
    from senders import registry

    for channel in registry.VENDORS:
        try:
            log = registry.log_of(channel)
            found = reconcile.by_log(desk, channel, log, clock=clock) if log else 0
        except Misconfigured as error:
            typer.echo(f"{channel}: messages in doubt cannot be looked up. {error}")
        else:
            if found:
                typer.echo(f"{channel}: {found} in doubt found in the provider's log: accepted.")


def parse_shard(text: str) -> Shard:
    """`2/4` is the second of four. Raises `typer.BadParameter`."""
    from outbox.claims import Shard

    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise typer.BadParameter(f"{text!r} is no part of a whole, such as 1/4", param_hint="--shard")
    return Shard(int(number) - 1, int(count))


def next_send_hour(desk: psycopg.Connection, run: Run) -> datetime:
    """The send hour of the day after the run's last one, in the campaigns' zone: a simulated day ends there."""
    from outbox import runs
    from warehouse.clock import local_time

    bundle = runs.definition(desk, run.definition_hash)
    campaigns = [runs.definition(desk, each) for each in bundle["campaigns"].values()]
    tomorrow = max(run.days) + timedelta(days=1)
    return max(
        local_time(tomorrow, wall_time.fromisoformat(each["send_at"]), str(each["timezone"])) for each in campaigns
    )


def _run(desk: psycopg.Connection, run: uuid.UUID | None, as_of: datetime | None, *, simulated: bool) -> Run | None:
    """The run that was named, or the newest simulated one. Raises `WinbackError` when its clock is not this
    process's."""
    from outbox import runs
    from outbox.sql import queries

    if run is None and as_of is not None:
        run = runs.newest_of_day(desk, as_of.date())
    if run is None and simulated:
        run = queries.newest_simulated_run(desk)
    found = runs.find(desk, run) if run else None
    if found is not None and found.mode != ("simulated" if simulated else "live"):
        raise WinbackError(
            f"Run {run} is {found.mode}, and the senders' connections are {'all' if simulated else 'not all'} "
            "sandboxes: what was planned in a simulation never goes out for real, nor the other way round. "
            "Nothing was sent."
        )
    return found


def _send_notices(desk: psycopg.Connection, at: datetime, told: Callable[[str], None]) -> Mapping[str, int]:
    from outbox import notices
    from senders import registry

    return notices.send(desk, registry.notifier(), at=at, told=told) if notices.waiting(desk) else {}


def _summary(done: Dispatched | None) -> dict[str, Any]:
    if done is None:
        return {
            "totals": {},
            "sent_now": {},
            "misconfigured": [],
            "unreachable": [],
            "put_off": {},
            "resting": {},
            "stopped": [],
            "braked": [],
            "refused": [],
        }
    return {
        "totals": done.totals,
        "sent_now": done.sent_now,
        "misconfigured": sorted(done.misconfigured),
        "unreachable": sorted(done.unreachable),
        "put_off": {channel: waiting.waiting for channel, waiting in done.put_off.items()},
        "resting": {channel: waiting.waiting for channel, waiting in done.resting.items()},
        "stopped": sorted(done.stopped),
        "braked": sorted({**done.braked, **done.waiting}),
        "refused": sorted(done.refused),
    }


def complain(done: Dispatched | None) -> None:
    """Ends with one error that says of every channel and campaign that could not be served; the others were.

    Raises `Misconfigured` where something has to be mended first, `TryLater` where a provider could not be reached,
    `WinbackError` where a campaign stopped itself.
    """
    sys.stdout.flush()
    if done is None:
        return
    said = [f"{channel}: {why}" for channel, why in sorted(done.misconfigured.items())]
    said += [f"{which}: {why} The team was told." for which, why in sorted(done.refused.items())]
    said += [str(each) for each in done.unreachable.values()]
    said += [f"{why} The team was told." for _, why in sorted(done.braked.items())]
    if done.stopped:
        said.append(
            f"{', '.join(sorted(done.stopped))} stopped: batch after batch failed. The team was told; what was "
            "not sent stays planned and is tried again by the next dispatch, what may have left is in doubt "
            "and is not."
        )
    if done.misconfigured or done.unreachable:
        said.append("The other channels were served; what waits stays planned until it expires.")
    if done.misconfigured or done.refused:
        raise Misconfigured("\n".join(said))
    if done.unreachable:
        raise TryLater("\n".join(said))
    if done.stopped or done.braked:
        raise WinbackError("\n".join(said))
