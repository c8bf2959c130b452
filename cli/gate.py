"""`winback gate`: judges a run before anything of it is enqueued, and writes the verdict down."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.errors import Misconfigured, WinbackError

if TYPE_CHECKING:
    from expectations.gate import Judgement
    from outbox.runs import Run


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def gate(
        run: Annotated[uuid.UUID, typer.Option(help="The run that `winback build` has built.")],
        go_on: Annotated[
            bool, typer.Option("--continue", help="Exit 0 when a campaign is held; the others are served (the DAG).")
        ] = False,
    ) -> None:
        """Judge a run with Great Expectations, campaign by campaign: a campaign that fails is held for the day.

        Writes Data Docs to .local/data_docs and the verdict into outbox.run; alerts the team when a campaign is held.
        """
        from cli import context
        from outbox import runs
        from outbox.enqueue import Refused

        context.use_warehouse()
        try:
            facts, first_live = judge(run)
        except Refused as error:
            runs.fail(run, str(error).splitlines()[0])
            raise
        held = [campaign for campaign, verdict in facts.verdict.items() if verdict["result"] == "held"]
        if held:
            tell_team(facts, held)
            sys.stdout.flush()
            sys.stderr.write(_held(facts.verdict, held))
            if not go_on:
                raise typer.Exit(1)
        context.next_step(f"winback enqueue --run {run}")
        context.result(
            {
                "run_id": run,
                "mode": facts.mode,
                "held": held,
                "why": [reason for campaign in held for reason in facts.verdict[campaign]["why"]],
                "first_live": first_live,
                "request_count": facts.request_count,
                "rules": sum(verdict["rules"] for verdict in facts.verdict.values()),
            }
        )


def judge(run_id: uuid.UUID) -> tuple[Run, Sequence[str]]:
    """The run with its verdict written down, and the campaigns that are about to send live for the first time.

    The hand-off is counted before it is judged: whatever changes it meanwhile no longer fits what is written down here,
    and enqueue refuses it. A run that was judged before keeps its verdict. Raises `enqueue.Refused` for a run of
    another target, of which the team is not told: the day of production is another one.
    """
    from expectations import gate
    from outbox import enqueue, runs
    from outbox.sql import ledger, queries
    from warehouse import settings

    local = settings.read().local
    with ledger() as connection:
        run = runs.find(connection, run_id)
        first_live = gate.first_live(run_id)
        if run.state == "built":
            enqueue.refuse_other_target(run_id, run.target)
            runs.extend(run_id)
            totals = queries.handoff_totals(connection, run_id=run_id)
            judgement = gate.judge(run_id, folder=local / "gx", docs=local / "data_docs")
            _show(judgement)
            runs.mark_validated(
                connection,
                run_id,
                request_count=totals["request_count"] if totals else 0,
                request_checksum=totals["request_checksum"] if totals else None,
                verdict={verdict.campaign: verdict.document() for verdict in judgement.verdicts},
                lease=runs.APPROVAL_LEASE if _asks(run.mode, first_live) else runs.HANDOVER_LEASE,
            )
        elif not run.verdict:
            raise WinbackError(
                f"Run {run_id} is {run.state}{f' ({run.detail})' if run.detail else ''}; the gate judges a built one. "
                "Nothing was changed and nothing was sent. `winback build --as-of DAY` builds the day."
            )
        return runs.find(connection, run_id), first_live


def _asks(mode: str, first_live: Sequence[str]) -> bool:
    """Whether a person is asked before this run is enqueued (`dags/winback_approval.py` asks by the same rule)."""
    policy = os.environ.get("WINBACK_APPROVAL", "first")
    return mode == "live" and (policy == "always" or (policy == "first" and bool(first_live)))


def tell_team(run: Run, held: Sequence[str]) -> None:
    """Raises a notice for each held campaign, once a day, and sends what waits to be sent."""
    from cli import context
    from outbox import notices
    from outbox.runs import database_now
    from outbox.sql import ledger
    from senders import registry
    from warehouse import settings

    context.use_senders()
    docs = settings.read().local / "data_docs" / "index.html"
    with ledger() as connection:
        at = run.clock if run.mode == "simulated" else database_now(connection)
        if run.mode == "simulated":
            context.tell_sandbox(at)
        for campaign in held:
            notices.post(
                connection,
                notices.Notice(
                    notices.GATE_FAILED,
                    campaign,
                    max(run.days),
                    f"{campaign} is held on {max(run.days)}",
                    f"The gate did not let the day of {campaign} pass, so nothing of it is sent. Its people are "
                    "decided anew tomorrow.\n\n" + "\n".join(run.verdict[campaign]["why"]) + f"\n\nData Docs: {docs}",
                ),
                at=at,
            )
        try:
            notices.send(connection, registry.notifier(), at=at)
        except Misconfigured as error:  # the notice waits in the outbox, and the other campaigns do not wait for it
            sys.stderr.write(f"winback: the team could not be told yet. {error}\n")


def _show(judgement: Judgement) -> None:
    for verdict in judgement.verdicts:
        people = ", ".join(f"{step} {count}" for step, count in verdict.expected.items())
        typer.echo(f"{verdict.campaign}: {verdict.result} ({verdict.rules} rules; expected due: {people or 'unknown'})")
    typer.echo(f"Data Docs: {judgement.data_docs / 'index.html'}")


def _held(verdict: Mapping[str, Any], held: Sequence[str]) -> str:
    lines = [f"  {campaign}: {reason}" for campaign in held for reason in verdict[campaign]["why"]]
    return (
        f"winback: the gate holds the day of {', '.join(held)}. Nothing of it will be sent; its people are decided "
        "anew tomorrow.\n" + "".join(f"{line}\n" for line in lines)
    )
