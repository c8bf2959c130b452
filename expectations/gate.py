"""The gate: judges a run's hand-off with Great Expectations, campaign by campaign, in the database.

It fails closed: a rule that breaks, a rule that cannot be asked, and an error while judging all hold that campaign's
day, and that campaign's alone. Results are `BOOLEAN_ONLY` and the connection is `${WINBACK_GX_URL}`: no row, address
or password gets into a file or a page.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import psycopg

from expectations import suites, volume
from expectations.suites import DECISIONS, REQUESTS, Judged, Rule
from warehouse.connect import Role, connect, database_url
from warehouse.errors import WinbackError

PASSED, HELD = "passed", "held"
UNJUDGED = "could_not_be_judged"
URL_VARIABLE = "WINBACK_GX_URL"


@dataclass(frozen=True)
class Failure:
    """One rule that does not hold."""

    rule: str
    about: str
    count: int | None = None
    """How many rows break it; None where that could not be asked."""

    def __str__(self) -> str:
        found = "could not be asked" if self.count is None else f"{self.count} found"
        return f"{self.rule} ({found}): {self.about}"


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one campaign."""

    campaign: str
    failures: Sequence[Failure] = ()
    rules: int = 0
    expected: Mapping[str, int] = field(default_factory=dict)
    """Step -> people that purchases lead one to expect, over the run's days."""

    @property
    def result(self) -> str:
        """`passed` or `held`."""
        return HELD if self.failures else PASSED

    def document(self) -> dict[str, Any]:
        """As `outbox.run.verdict` keeps it."""
        return {
            "result": self.result,
            "failed": [failure.rule for failure in self.failures],
            "why": [str(failure) for failure in self.failures],
            "rules": self.rules,
            "expected": dict(self.expected),
        }


@dataclass(frozen=True)
class Judgement:
    """What the gate says of a run."""

    run_id: UUID
    verdicts: Sequence[Verdict]
    data_docs: Path


def judge(run_id: UUID, *, folder: Path, docs: Path) -> Judgement:
    """Judges every campaign of a run. `folder` keeps the Great Expectations project, `docs` its Data Docs.

    Raises `WinbackError` when there is no such run, or nothing of it to judge.
    """
    with connect(Role.DBT, autocommit=True) as connection:
        verdicts = [_verdict(connection, it, folder, docs) for it in judged(connection, run_id)]
    return Judgement(run_id, verdicts, docs)


def first_live(run_id: UUID) -> list[str]:
    """The campaigns whose definition this run is the first to send for, on a live clock; none of a simulated run."""
    with connect(Role.DBT, autocommit=True) as connection:
        return [it.campaign for it in judged(connection, run_id) if it.is_live and _is_first(connection, it)]


def judged(connection: psycopg.Connection, run_id: UUID) -> list[Judged]:
    """What there is to judge of a run: its campaigns. Raises `WinbackError` when there is nothing."""
    run = connection.execute(
        "select r.mode, r.clock, r.definition_hash, array(select d.as_of from outbox.run_day as d"
        " where d.run_id = r.run_id order by d.as_of) from outbox.run as r where r.run_id = %s",
        [run_id],
    ).fetchone()
    if run is None:
        raise WinbackError(f"There is no run {run_id}: `winback build --as-of DAY` makes one. Nothing was sent.")
    mode, clock, bundle, days = run
    campaigns = connection.execute(
        "select campaign.hash, campaign.body from outbox.definition as bundle"
        " cross join jsonb_each_text(bundle.body -> 'campaigns') as listed"
        " inner join outbox.definition as campaign on campaign.hash = listed.value"
        " where bundle.hash = %s order by listed.key",
        [bundle],
    ).fetchall()
    if not campaigns:
        raise WinbackError(f"No definition of run {run_id} is in outbox.definition: build it again. Nothing was sent.")
    return [Judged(run_id, mode == "live", clock, days, definition_hash, body) for definition_hash, body in campaigns]


def _is_first(connection: psycopg.Connection, judged: Judged) -> bool:
    row = connection.execute(
        # By its run: of the messages, which may be many, only those of runs that went by this definition are asked for.
        "select not exists (select from outbox.run as r inner join outbox.definition as bundle"
        " on bundle.hash = r.definition_hash where r.mode = 'live' and r.run_id <> %(run)s"
        " and bundle.body -> 'campaigns' ->> %(campaign)s = %(hash)s and exists (select from outbox.message as m"
        " where m.run_id = r.run_id and m.campaign = %(campaign)s and m.definition_hash = %(hash)s))",
        {"run": judged.run_id, "campaign": judged.campaign, "hash": judged.definition_hash},
    ).fetchone()
    return bool(row and row[0]) and judged.body["mode"] != "shadow" and bool(judged.body["enabled"])


def _verdict(connection: psycopg.Connection, judged: Judged, folder: Path, docs: Path) -> Verdict:
    try:
        expected = list(volume.expected(connection, judged))
        decisions = suites.rules(DECISIONS, judged) + [it.rule() for it in expected]
        if share := volume.share_rule(connection, judged):
            decisions.append(share)
        by_batch = {REQUESTS: suites.rules(REQUESTS, judged), DECISIONS: decisions}
        broken = _validate(judged, by_batch, folder, docs)
        failures = [
            Failure(rule.name, rule.about, _count(connection, rule, suites.batch(what, judged)))
            for what, rules in by_batch.items()
            for rule in rules
            if rule.name in broken
        ]
        people: dict[str, int] = {}
        for it in expected:
            people[it.step] = people.get(it.step, 0) + it.people
        return Verdict(judged.campaign, failures, sum(map(len, by_batch.values())), people)
    except Exception as error:  # noqa: BLE001 - whatever it is: a campaign that cannot be judged is held
        return Verdict(judged.campaign, [Failure(UNJUDGED, f"Judging it ended with {_named(error)}.")])


def _validate(judged: Judged, by_batch: Mapping[str, Sequence[Rule]], folder: Path, docs: Path) -> set[str]:
    """Runs the campaign's checkpoint, writes Data Docs, and returns the names of the rules that do not hold."""
    with _quiet():
        import great_expectations as gx
        from great_expectations.expectations import UnexpectedRowsExpectation

        folder.mkdir(parents=True, exist_ok=True)
        context = gx.get_context(mode="file", project_root_dir=folder)
        source = context.data_sources.add_or_update_postgres("warehouse", connection_string=f"${{{URL_VARIABLE}}}")
        definitions = []
        for what, rules in by_batch.items():
            name = f"{judged.campaign}.{what}"
            batch = suites.batch(what, judged)
            asset = source.add_query_asset(name, query=batch)
            suite = gx.ExpectationSuite(
                name,
                expectations=[
                    UnexpectedRowsExpectation(
                        unexpected_rows_query=rule.for_great_expectations(batch),
                        description=rule.about,
                        meta={"rule": rule.name},
                    )
                    for rule in rules
                ],
            )
            definition = gx.ValidationDefinition(
                name=name,
                data=asset.add_batch_definition_whole_table("all"),
                suite=context.suites.add_or_update(suite),
            )
            definitions.append(context.validation_definitions.add_or_update(definition))
        _add_site(context, docs)
        checkpoint = context.checkpoints.add_or_update(
            gx.Checkpoint(
                name=judged.campaign,
                validation_definitions=definitions,
                result_format="BOOLEAN_ONLY",
                actions=[gx.checkpoint.UpdateDataDocsAction(name="data docs", site_names=[_SITE])],
            )
        )
        outcome = checkpoint.run()
    held = {rule.name for rules in by_batch.values() for rule in rules}
    for result in outcome.run_results.values():
        held -= {it.expectation_config.meta["rule"] for it in result.results if it.success is True}
    return held


_SITE = "winback"


def _add_site(context: Any, docs: Path) -> None:
    site = {
        "class_name": "SiteBuilder",
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    if _SITE in context.get_site_names():
        context.update_data_docs_site(_SITE, site)
    else:
        context.add_data_docs_site(_SITE, site)


def _count(connection: psycopg.Connection, rule: Rule, batch: str) -> int | None:
    try:
        row = connection.execute(rule.counting(batch)).fetchone()
    except psycopg.Error:
        return None
    return int(row[0]) if row else None


def _named(error: Exception) -> str:
    """The error's class and SQL state. Its message may quote a row, and stays out."""
    state = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "pgcode", None)
    return f"{type(error).__name__}{f' ({state})' if state else ''}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Great Expectations without telemetry, progress bars and prints, and with our connection in its environment."""
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", database_url())
    options = quote(f"-c role={Role.DBT.value} -c timezone=UTC")
    os.environ |= {
        "GX_ANALYTICS_ENABLED": "false",
        "TQDM_DISABLE": "1",
        URL_VARIABLE: f"{url}{'&' if '?' in url else '?'}options={options}",
    }
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
