"""The rules of `requests.sql` and `decisions.sql`, filled in for one campaign of one run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

REQUESTS, DECISIONS = "requests", "decisions"
FILLED_IN_LATER = ["first_name", "unsubscribe_url", "preferences_url"]
"""Template variables that are known only when a message leaves."""

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")
_BIND = re.compile(r"(?<![:\w\\]):(?=\w)")


@dataclass(frozen=True)
class Judged:
    """What a gate judges: one campaign of one run."""

    run_id: UUID
    is_live: bool
    clock: datetime
    days: Sequence[date]
    definition_hash: str
    body: Mapping[str, Any]
    """`outbox.definition.body` of kind campaign."""

    @property
    def campaign(self) -> str:
        """The campaign's name."""
        return str(self.body["campaign"])


@dataclass(frozen=True)
class Rule:
    """One thing that must hold. It fails when its query returns a row."""

    name: str
    about: str
    """A sentence for Data Docs, alerts and reports."""
    query: str
    """SQL over `{batch}`, every value written out."""

    def for_great_expectations(self, batch: str) -> str:
        """The query as `UnexpectedRowsExpectation` wants it, over `batch` (a select): braces and colons escaped.

        Great Expectations writes its own batch with or without an alias, and PostgreSQL 15 wants exactly one: ours is
        written out, and theirs stands in a comment, for they ask that it be named.
        """
        text = self.query.replace("{batch}", f"({batch})").replace("{", "{{").replace("}", "}}")
        return _BIND.sub(r"\\:", text) + "\n/* {batch} */"

    def counting(self, batch: str) -> str:
        """The query that says how many rows break the rule, over `batch` (a select)."""
        return f"select count(*) from ({self.query.replace('{batch}', f'({batch})')}) as violation"  # noqa: S608


def batch(what: str, judged: Judged) -> str:
    """The rows that `{batch}` stands for."""
    if what == REQUESTS:
        return fill("select * from handoff.send_requests where campaign = :campaign", {"campaign": judged.campaign})
    return fill(
        "select * from cohorts.fct_decisions where campaign = :campaign and run_id = :run_id",
        {"campaign": judged.campaign, "run_id": judged.run_id},
    )


def rules(what: str, judged: Judged) -> list[Rule]:
    """The rules of `requests.sql` or `decisions.sql`, in their order."""
    values = parameters(judged)
    return [
        Rule(name, about, fill(query, values))
        for name, about, query in _read(Path(__file__).with_name(f"{what}.sql").read_text())
    ]


def fill(query: str, values: Mapping[str, object]) -> str:
    """The query with each `:name` written out as a literal. Raises `KeyError` for a name that has no value."""
    return _PARAMETER.sub(lambda found: sql.Literal(values[found[1]]).as_string(None), query)


def parameters(judged: Judged) -> dict[str, object]:
    """What the rules may ask for, of one campaign of one run."""
    body = judged.body
    wanted = (
        *(
            "key",
            "renamed_from",
            "enabled",
            "template_hash",
            "step_days",
            "tag",
            "contact_event",
            "channels",
            "requires",
        ),
        *("promotion", "after_step", "after_days", "variables", "merge_fields"),
    )
    return {
        "run_id": judged.run_id,
        "clock": judged.clock,
        "days": list(judged.days),
        "is_live": judged.is_live,
        "campaign": judged.campaign,
        "definition_hash": judged.definition_hash,
        "enabled": bool(body["enabled"]),
        "mode": body["mode"],
        "live_from": date.fromisoformat(body["live_from"]) if body["live_from"] else date.min,
        "allowlist": list(body["allowlist"]),
        "max_late_days": body["max_late_days"],
        "messages_per_day": body["budget"]["messages_per_day"],
        "grants_per_day": body["budget"]["grants_per_day"],
        "messages_per_person": body["caps"]["per_day"],
        "holdout_percent": body["holdout_percent"],
        "counts_purchases": body["clock"] == "last_purchase",
        "promotions": Jsonb({name: {"valid_days": it["valid_days"]} for name, it in body["promotions"].items()}),
        "steps": Jsonb([{key: step.get(key) for key in wanted} for step in body["steps"]]),
        "filled_in_later": FILLED_IN_LATER,
    }


def _read(text: str) -> list[tuple[str, str, str]]:
    """Name, description and query of each block that begins with `-- name:`."""
    blocks = []
    for block in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]:
        name, *lines = block.splitlines()
        about = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
        blocks.append((name.strip(), " ".join(about), "\n".join(x for x in lines if not x.startswith("--")).strip()))
    return blocks
