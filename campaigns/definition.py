"""A campaign's YAML as a validated object, its canonical document, and the hash that every message carries.

`load` reads one file, `load_all` the folder. Either all of it holds, or a `WinbackError` lists every mistake with its
file, line and key, before anything is decided or sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from campaigns import draft as drafts
from campaigns import rules, template
from campaigns.problems import NOTHING_HAPPENED, Problems, did_you_mean, shown
from campaigns.rules import Draft
from campaigns.schema import Head, Section, Shop, Step
from campaigns.template import Compiled, Wanted
from senders.contract import EMAIL, Template
from warehouse.errors import WinbackError

Document = dict[str, Any]
"""What dbt and every other part read: `outbox.definition.body`."""


def canonical(document: Mapping[str, Any]) -> str:
    """The one way to write a document as JSON: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(document: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON, 64 hex digits. Comments and the order of keys change nothing."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


@dataclass(frozen=True)
class Campaign:
    """One valid campaign."""

    file: Path
    name: str
    templates: Mapping[str, Template] = field(repr=False)
    """By template hash."""
    body: Document = field(repr=False)
    hash: str = ""

    def document(self) -> Document:
        """The normalised document: defaults filled in, templates by their hash, static merge fields settled."""
        return self.body


@dataclass(frozen=True)
class Bundle:
    """All campaigns of an installation, as one run goes by them."""

    campaigns: Mapping[str, Campaign]
    hash: str

    def document(self) -> Document:
        """`{"campaigns": {"winback": "<hash>"}}`: the body of a definition of kind `bundle`."""
        return {"campaigns": {name: campaign.hash for name, campaign in self.campaigns.items()}}

    @property
    def templates(self) -> dict[str, Template]:
        """Every template of every campaign, by its hash."""
        return {key: found for campaign in self.campaigns.values() for key, found in campaign.templates.items()}

    @property
    def timezone(self) -> str:
        """The IANA zone whose calendar days all campaigns share."""
        return str(next(iter(self.campaigns.values())).body["timezone"])

    @property
    def build_at(self) -> str:
        """The hour, in that zone, at which the daily run decides: `"05:00"`."""
        return str(next(iter(self.campaigns.values())).body["build_at"])


def load(path: Path) -> Campaign:
    """One campaign. Raises `WinbackError` with every mistake of the file and of its templates."""
    return _load([Path(path)])[0]


def load_all(folder: Path) -> Bundle:
    """Every campaign of a folder (`*.yml`, `*.yaml`). Raises `WinbackError` with every mistake of all of them."""
    files = sorted(path for path in Path(folder).glob("*.y*ml") if path.suffix in {".yml", ".yaml"})
    if not files:
        raise WinbackError(
            f"There is no campaign file in {shown(Path(folder))}. Expected at least one such as winback.yml there; "
            f"WINBACK_CAMPAIGNS names another folder. {NOTHING_HAPPENED}"
        )
    campaigns = {campaign.name: campaign for campaign in _load(files)}
    listed = dict(sorted(campaigns.items()))
    return Bundle(listed, hash_of({"campaigns": {name: campaign.hash for name, campaign in listed.items()}}))


def _load(files: Sequence[Path]) -> list[Campaign]:
    problems = Problems()
    read = [found for file in files if (found := drafts.read(file, problems)) is not None]
    compiled = []
    for found in read:
        rules.check(found, problems)
        compiled.append(_compile(found, problems))
    rules.check_across(read, problems)
    problems.refuse()
    return [_campaign(found, by_step) for found, by_step in zip(read, compiled, strict=True)]


def _compile(found: Draft, problems: Problems) -> dict[str, Compiled]:
    """The compiled template of every step that has one, by the step's key."""
    home = found.source.file.parent
    there = template.names(home)
    compiled: dict[str, Compiled] = {}
    for number, step in found.steps:
        if step.template is None or not step.channels:
            continue
        if step.template not in there:
            found.source.add(
                problems,
                ("steps", number, "template"),
                f"there is no template {step.template!r} in {shown(home / template.FOLDER)}."
                f"{did_you_mean(step.template, there)}",
            )
            continue
        wanted = Wanted(
            step=step.key,
            channels=step.channels,
            host=found.host,
            has=found.has(step),
            recommendations=step.recommendations,
            renamed={
                channel: {"step_url": f"step_url_{channel}"} for channel in step.channels if channel != _main(step)
            },
        )
        result = template.compile_template(home / template.FOLDER / step.template, wanted, problems)
        if result is not None:
            compiled[step.key] = result
    return compiled


def _campaign(found: Draft, compiled: Mapping[str, Compiled]) -> Campaign:
    head = found.head
    assert head is not None  # noqa: S101 - refused before
    body = _document(head, found, compiled)
    templates = {result.template.template_hash: result.template for result in compiled.values()}
    return Campaign(found.source.file, head.campaign, templates, body, hash_of(body))


def _document(head: Head, found: Draft, compiled: Mapping[str, Compiled]) -> Document:
    def section(key: str) -> Any:
        value = found.sections[key]
        return value.model_dump(mode="json") if isinstance(value, Section) else None

    steps = {step.key: step for _, step in found.steps}
    places = {code: body.model_dump(mode="json", exclude_none=True) for code, body in found.places.items()}
    return {
        **head.model_dump(mode="json"),
        **{key: section(key) for key in found.sections},
        # Without places it is what it was before there were any: a file that nobody touched keeps its hash.
        "hours": section("hours") | ({"places": places} if places else {}),
        "promotions": {name: promotion.model_dump(mode="json") for name, promotion in found.promotions.items()},
        "steps": [
            _step_document(step, number, found, compiled.get(step.key), rules.step_days(step, steps))
            for number, (_, step) in enumerate(found.steps, start=1)
        ],
    }


def _step_document(step: Step, position: int, found: Draft, compiled: Compiled | None, step_days: int) -> Document:
    # A key that most steps do without stands there where it says something: files that nobody touched keep their hash.
    without = {"link"} | (set() if step.sendgrid_template_id else {"sendgrid_template_id"})
    values = step.model_dump(mode="json", exclude=without)
    return {
        **values,
        "position": position,
        "step_days": step_days,
        "trigger": "clock" if step.after_days is not None else "event",
        "template_hash": compiled.template.template_hash if compiled else None,
        "variables": list(compiled.variables) if compiled else [],
        "merge_fields": _static_fields(step, found),
    }


def _main(step: Step) -> str:
    """The channel whose utm_medium `step_url` carries."""
    return EMAIL if EMAIL in step.channels or not step.channels else step.channels[0]


def _static_fields(step: Step, found: Draft) -> dict[str, str]:
    """What a step's template may say before anybody is chosen."""
    shop, head = found.shop, found.head
    assert isinstance(shop, Shop) and head is not None  # noqa: S101 - refused before
    email, sms, promotion = found.sections["email"], found.sections["sms"], found.promotions.get(step.promotion or "")
    utm = {channel: _utm(head.campaign, step.key, channel) for channel in (_main(step), *step.channels)}
    fields = {
        "shop_name": shop.name,
        "shop_url": shop.url,
        "step_url": _with_query(shop.url, step.link, utm[_main(step)]),
        "utm": utm[_main(step)],
    }
    for channel in step.channels:
        if channel != _main(step):
            fields[f"step_url_{channel}"] = _with_query(shop.url, step.link, utm[channel])
    if email is not None:
        fields["postal_address"] = getattr(email, "postal_address")  # noqa: B009
    if sms is not None:
        fields |= {"brand": getattr(sms, "brand"), "sms_opt_out": getattr(sms, "opt_out")}  # noqa: B009
    if promotion is not None:
        fields["offer_text"] = promotion.offer
    return fields


def _utm(campaign: str, step: str, channel: str) -> str:
    return urlencode({"utm_source": "winback", "utm_medium": channel, "utm_campaign": campaign, "utm_content": step})


def _with_query(shop_url: str, link: str, query: str) -> str:
    """The link on the shop's domain, with the query added to whatever it has."""
    parts = urlsplit(link if link.startswith("https://") else shop_url + link)
    return urlunsplit(parts._replace(path=parts.path or "/", query=f"{parts.query}&{query}" if parts.query else query))
