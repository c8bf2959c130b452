"""What a person reads at the end, and `.local/faults.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.judge import ZEROS, Verdict
from tests.faults.rounds import Result

LEAST_MESSAGES, LEAST_KILLS, LEAST_DUPLICATES = 20_000, 100, 200
"""What a full run has to have played, and what the control has to have shown in it."""


def complaints(results: Sequence[Result], *, whole: bool) -> list[str]:
    """Why the run failed; empty when it passed. `whole`: it was a full run, which has to be a large one."""
    found = [f"{result.experiment.name}: {complaint}" for result in results for complaint in result.complaints]
    if whole:
        ours, naive = _all(results)
        for what, count, least in (
            ("messages", sum(verdict.messages for verdict in ours), LEAST_MESSAGES),
            ("kills", sum(verdict.kills for verdict in ours), LEAST_KILLS),
            ("duplicates of the control", sum(verdict.duplicated for verdict in naive), LEAST_DUPLICATES),
        ):
            if count < least:
                found.append(f"the run was too mild: {count:,} {what}, and {least:,} are the least")
    return found


def show(results: Sequence[Result], complaints: Sequence[str], *, seconds: float) -> None:
    """The table, a line of sums, and the verdict."""
    table = Table(title="Faults: ours beside a control that retries and lets leases expire", title_justify="left")
    for column in ("experiment", "what is broken"):
        table.add_column(column)
    for column in ("seeds", "messages", "kills", "dup.", "dup. control", "lost", "other", "in doubt", "s", ""):
        table.add_column(column, justify="right")
    for result in results:
        table.add_row(
            result.experiment.name,
            result.experiment.what,
            str(len(result.ours)),
            *_counts(list(result.ours.values()), list(result.naive.values())),
            f"{result.seconds:.0f}",
            "[bold red]FAILED[/]" if result.complaints else "[green]holds[/]",
        )
    ours, naive = _all(results)
    table.add_section()
    table.add_row("all", "", str(len(ours)), *_counts(ours, naive), f"{seconds:.0f}", "")
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    console.print(
        "other: false accepted, unexpected, without consent, in quiet hours, codes with two owners, need that is not "
        "granted plus unserved, accepted rows that regressed."
    )
    for complaint in complaints:
        console.print(f"[bold red]FAILED[/] {complaint}")
    if not complaints:
        console.print("Nothing was duplicated, lost or wrong; what is in doubt is known to be.")


def _counts(ours: Sequence[Verdict], naive: Sequence[Verdict]) -> list[str]:
    others = sum(getattr(verdict, name) for verdict in ours for name in ZEROS if name not in ("duplicated", "lost"))
    return [
        f"{sum(verdict.messages for verdict in ours):,}",
        f"{sum(verdict.kills for verdict in ours):,}",
        f"{sum(verdict.duplicated for verdict in ours):,}",
        _control(naive),
        f"{sum(verdict.lost for verdict in ours):,}",
        f"{others:,}",
        f"{sum(verdict.in_doubt for verdict in ours):,}",
    ]


def _control(naive: Sequence[Verdict]) -> str:
    """What the control showed: duplicates first, then whatever else went wrong in it."""
    sums = {name: sum(getattr(verdict, name) for verdict in naive) for name in ZEROS}
    others = [f"{count:,} {name}" for name, count in sums.items() if count and name != "duplicated"]
    return "\n".join([f"{sums['duplicated']:,}", *others]) if naive else "-"


def _all(results: Sequence[Result]) -> tuple[list[Verdict], list[Verdict]]:
    ours = [verdict for result in results for verdict in result.ours.values()]
    return ours, [verdict for result in results for verdict in result.naive.values()]


def write(path: Path, results: Sequence[Result], complaints: Sequence[str]) -> None:
    """Everything as JSON: each round's verdict, ours and the control's, by seed."""
    document = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "complaints": list(complaints),
        "experiments": {
            result.experiment.name: {
                "what": result.experiment.what,
                "seconds": round(result.seconds, 1),
                "ours": {seed: verdict.document() for seed, verdict in sorted(result.ours.items())},
                "naive": {seed: verdict.document() for seed, verdict in sorted(result.naive.items())},
            }
            for result in results
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
