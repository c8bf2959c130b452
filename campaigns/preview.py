"""Every template filled and laid out as its recipient would see it: HTML files and one index page.

Whoever has no value for a variable is shown with a sample, and the page says which. Links to unsubscribe and to the
preferences are always samples: real ones carry a token that is made when a message leaves.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from campaigns.definition import Campaign
from campaigns.template import CLIPPED_AT
from campaigns.variables import CATALOGUE, Known
from senders.contract import EMAIL, SMS, WEBPUSH, Push, Template
from senders.render import render_html, render_text
from senders.segments import Measure, measure

_HOME = Path(__file__).resolve().parent
_OURS = '<meta name="generator" content="winback preview">'
"""On every index page: a folder without it is somebody else's."""
_PREHEADER = re.compile(r'<div style="display:none[^>]*>(.*?)</div>', re.DOTALL)
_PICTURES = """<script>
// A picture that cannot be reached from here becomes a plain tile with its first letter.
for (const picture of document.images) {
  const tile = () => {
    const letter = (picture.alt.trim()[0] || "").toUpperCase();
    picture.onerror = null;
    picture.src = "data:image/svg+xml," + encodeURIComponent(
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200"><rect width="200" height="200" fill="#e9e2d2"/>` +
      `<text x="100" y="122" font-family="Georgia,serif" font-size="72" fill="#24533d" text-anchor="middle">` +
      `${letter}</text></svg>`);
  };
  if (picture.complete && picture.naturalWidth === 0) tile(); else picture.onerror = tile;
}
</script>"""


@dataclass(frozen=True)
class Person:
    """Whom a step is shown for."""

    contact_id: str | None
    """None: nobody yet, sample values throughout."""
    origin: str
    """Where the values come from, in a few words."""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    first_name: str | None = field(default=None, repr=False)
    channels: Sequence[str] = ()
    """What this contact can be reached through, in the step's order; empty: not known."""


def nobody(why: str) -> Person:
    """Whom a step is shown for where it has nobody to be shown for: sample values throughout."""
    return Person(None, why)


CHANNELS = {EMAIL: "e-mail", SMS: "text", WEBPUSH: "web push"}


@dataclass(frozen=True)
class Filled:
    """One step as one person gets it."""

    person: Person
    sampled: tuple[str, ...]
    """The variables that were filled with sample values."""
    subject: str | None = None
    preheader: str | None = None
    html: str | None = None
    text: str | None = None
    sms: str | None = None
    cost: Measure | None = None
    push: Push | None = None


def values(step: Mapping[str, Any], person: Person) -> tuple[dict[str, str], tuple[str, ...]]:
    """Every variable of the step with the person's value, or a sample where they have none; and which are samples."""
    known = {**step["merge_fields"], **person.fields}
    if person.contact_id is not None:
        known["first_name"] = person.first_name or "there"
    fields: dict[str, str] = {}
    sampled: list[str] = []
    for name in step["variables"]:
        if known.get(name):
            fields[name] = str(known[name])
            continue
        fields[name] = str(step["step_days"]) if name == "days_away" else CATALOGUE[name].sample
        if CATALOGUE[name].known is not Known.SENT or name == "first_name":
            sampled.append(name)
    return fields, tuple(sampled)


def fill(template: Template, step: Mapping[str, Any], person: Person) -> Filled:
    """The template with the person's values; samples where they have none."""
    fields, sampled = values(step, person)
    html = render_html(template.html, fields) if template.html else None
    sms = render_text(template.sms, fields) if template.sms else None
    preheader = _PREHEADER.search(html) if html else None
    return Filled(
        person=person,
        sampled=sampled,
        subject=render_text(template.subject, fields) if template.subject else None,
        preheader=unescape(preheader[1]).strip() if preheader else None,
        html=html,
        text=render_text(template.text, fields) if template.text else None,
        sms=sms,
        cost=measure(sms) if sms else None,
        push=_filled_push(template.push, fields) if template.push else None,
    )


def _filled_push(push: Push, fields: Mapping[str, str]) -> Push:
    return Push(**{key: render_text(value, fields) if value else "" for key, value in asdict(push).items()})


@dataclass(frozen=True)
class Page:
    """One step of the index page."""

    campaign: Campaign
    step: Mapping[str, Any]
    filled: Sequence[Filled]


def write(folder: Path, pages: Sequence[Page], notes: Sequence[str], *, is_own: bool = False) -> Path:
    """Writes every page under `folder`, which is emptied first; returns the index page.

    `is_own`: nobody else writes there. Raises `FileExistsError` for another folder that holds something else than an
    earlier preview, and for what is no folder; another `OSError` where the earlier pages cannot be taken away.
    """
    may_go = (is_own and not folder.is_symlink()) or _is_ours(folder)
    if folder.exists() and not (folder.is_dir() and (may_go or not any(folder.iterdir()))):
        raise FileExistsError(folder)
    for there in folder.iterdir() if folder.exists() else ():
        shutil.rmtree(there) if there.is_dir() and not there.is_symlink() else there.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    steps = [
        {
            "campaign": page.campaign,
            "step": page.step,
            "when": when(page.step, page.campaign.body["clock"]),
            "cards": [_card(folder, page, filled) for filled in page.filled],
        }
        for page in pages
    ]
    return _write_index(folder, steps=steps, notes=notes)


def outdate(folder: Path, mistakes: str, *, is_own: bool = False) -> Path | None:
    """In place of an earlier preview a page with the mistakes: nobody takes the old one for how things stand. Returns
    it; None where there was none."""
    there = (folder / "index.html").exists() if is_own else _is_ours(folder)
    return _write_index(folder, mistakes=mistakes) if there else None


def _is_ours(folder: Path) -> bool:
    index = folder / "index.html"
    return index.is_file() and _OURS.encode() in index.read_bytes()[:1000]


def _write_index(folder: Path, **shown: object) -> Path:
    environment = Environment(
        loader=FileSystemLoader(_HOME), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["in_words"] = lambda channel: CHANNELS.get(channel, channel)
    page = {"steps": [], "notes": [], "mistakes": None, "ours": _OURS, "clipped_at": CLIPPED_AT, **shown}
    index = folder / "index.html"
    index.write_text(environment.get_template("preview.html.j2").render(page), encoding="utf-8")
    return index


def _card(folder: Path, page: Page, filled: Filled) -> dict[str, Any]:
    who = re.sub(r"[^A-Za-z0-9_-]", "-", filled.person.contact_id or "sample")
    name = f"{page.campaign.name}/{page.step['key']}-{who}"
    card: dict[str, Any] = {"filled": filled, "id": name.replace("/", "-"), "html": None, "kilobytes": 0}
    if filled.html:
        path = folder / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(filled.html.replace("</body>", f"{_PICTURES}</body>"), encoding="utf-8")
        card |= {"html": f"{name}.html", "kilobytes": max(1, len(filled.html.encode()) // 1024)}
    return card


def when(step: Mapping[str, Any], clock: str) -> str:
    """The step's moment in plain words; `clock`: what the campaign counts from."""
    if step["trigger"] == "clock":
        return f"{step['after_days']} days after the {clock.replace('_', ' ')}"
    words = f"{step['wait_days']} days after {step['after_step']} was {step['event']}"
    for key, what in (("no_purchase_days", "purchase"), ("no_activity_days", "activity")):
        if step[key]:
            words += f", no {what} in the last {step[key]} days"
    return words
