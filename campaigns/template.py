"""A template's folder, checked and compiled: `templates/<name>/`, with one set of files for each channel.

| channel | files |
| --- | --- |
| e-mail | `subject.txt`, `email.mjml`, `email.txt` (the same in plain text) |
| text | `sms.txt` |
| web push | `push.yml`: title, body, url, icon |

What is compiled holds `{{ variable }}` and no other placeholder. `templates/_shared/` holds what several e-mails
include.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mjml import mjml2html

from campaigns import markup, source
from campaigns.markup import Use
from campaigns.problems import Problems, did_you_mean
from campaigns.variables import CATALOGUE, PLACEHOLDER, Known, Needs, used
from senders.contract import EMAIL, SMS, WEBPUSH, Push, Template

FILES: dict[str, tuple[str, ...]] = {
    EMAIL: ("subject.txt", "email.mjml", "email.txt"),
    SMS: ("sms.txt",),
    WEBPUSH: ("push.yml",),
}
FOLDER = "templates"
CLIPPED_AT = 102 * 1024
"""Bytes of HTML from which Gmail shows "[Message clipped]" and hides the rest, the unsubscribe link first."""
ROOM_FOR_VALUES = 12 * 1024
"""What is left free for names, links and the provider's click tracking."""
SUBJECT_AT_MOST = 150


@dataclass(frozen=True)
class Wanted:
    """What a step asks of its template."""

    step: str
    channels: Sequence[str]
    host: str
    """The shop's host."""
    has: frozenset[Needs]
    recommendations: int = 0
    renamed: Mapping[str, Mapping[str, str]] | None = None
    """Channel -> variable as written -> variable as compiled: a link has another utm_medium in a text."""


@dataclass(frozen=True)
class Compiled:
    """A template, and the variables it needs over all its channels, sorted."""

    template: Template
    variables: tuple[str, ...]


def names(campaigns: Path) -> list[str]:
    """The templates there are."""
    folder = campaigns / FOLDER
    return sorted(path.name for path in folder.glob("[!_.]*") if path.is_dir()) if folder.is_dir() else []


def compile_template(folder: Path, wanted: Wanted, problems: Problems) -> Compiled | None:
    """The template in `folder` as `wanted` needs it, or None where a mistake was noted."""
    before = len(problems.found)
    missing = _check_files(folder, wanted, problems)
    parts: dict[str, str] = {}
    push: Push | None = None
    if not missing:
        if EMAIL in wanted.channels:
            parts |= _email(folder, wanted, problems)
        if SMS in wanted.channels:
            parts["sms"] = _sms(folder, wanted, problems)
        if WEBPUSH in wanted.channels:
            push = _push(folder, wanted, problems)
    if missing or len(problems.found) > before:
        return None
    for channel, renames in (wanted.renamed or {}).items():
        for name, compiled in renames.items():
            if channel == SMS and "sms" in parts:
                parts["sms"] = _rename(parts["sms"], name, compiled)
            elif channel == WEBPUSH and push is not None:
                push = Push(**{key: _rename(value, name, compiled) for key, value in asdict(push).items()})
    template = Template(template_hash="", push=push, **parts)
    body = json.dumps(asdict(template), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    variables = sorted(
        {name for text in (*parts.values(), *(asdict(push).values() if push else ())) for name in used(text)}
    )
    return Compiled(replace(template, template_hash=hashlib.sha256(body.encode()).hexdigest()), tuple(variables))


def _rename(text: str, name: str, compiled: str) -> str:
    return PLACEHOLDER.sub(lambda match: f"{{{{ {compiled if match[1] == name else match[1]} }}}}", text)


def _check_files(folder: Path, wanted: Wanted, problems: Problems) -> bool:
    known = [name for listed in FILES.values() for name in listed]
    for path in sorted(folder.iterdir()):
        if path.name not in known and not path.name.startswith((".", "_")) and path.is_file():
            problems.add(path, 0, "", f"is none of a template's files.{did_you_mean(path.name, known)}")
    missing = False
    for channel in wanted.channels:
        for name in FILES[channel]:
            if not (folder / name).is_file():
                missing = True
                problems.add(folder / name, 0, "", f"is missing; step {wanted.step!r} speaks through {channel}.")
    return missing


def _read(file: Path, problems: Problems) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.add(file, 0, "", f"cannot be read: {error}.")
        return ""


def _check_uses(found: Sequence[Use], wanted: Wanted, problems: Problems) -> None:
    for use in found:
        variable, key = CATALOGUE.get(use.name), f"{{{{ {use.name} }}}}"
        if variable is None:
            problems.add(use.file, use.line, key, f"is no variable.{did_you_mean(use.name, CATALOGUE)}")
        elif variable.needs is Needs.RECOMMENDATIONS and variable.number > wanted.recommendations:
            problems.add(
                use.file,
                use.line,
                key,
                f"needs `recommendations: {variable.number}` or more; "
                f"step {wanted.step!r} has {wanted.recommendations}.",
            )
        elif variable.needs not in {Needs.NOTHING, Needs.RECOMMENDATIONS, *wanted.has}:
            problems.add(
                use.file, use.line, key, f"needs {variable.needs.value}, which step {wanted.step!r} does not have."
            )


def _plain(file: Path, wanted: Wanted, problems: Problems) -> str:
    """A text file, its variables and links checked."""
    text = _read(file, problems)
    if not text:
        problems.add(file, 0, "", "is empty.")
    _check_uses(list(markup.uses(file, text, problems)), wanted, problems)
    for number, line in enumerate(text.splitlines(), start=1):
        for link in re.findall(r"https?://[^\s<>\"')]+", line):
            if wrong := markup.check_link(link, wanted.host):
                problems.add(file, number, "", wrong)
    return text


def _needs(file: Path, text: str, name: str, why: str, problems: Problems) -> None:
    if name not in used(text):
        problems.add(file, 0, f"{{{{ {name} }}}}", f"is missing: {why}.")


def _email(folder: Path, wanted: Wanted, problems: Problems) -> dict[str, str]:
    subject = _plain(folder / "subject.txt", wanted, problems)
    if "\n" in subject or len(subject) > SUBJECT_AT_MOST:
        problems.add(folder / "subject.txt", 1, "", f"expected one line of at most {SUBJECT_AT_MOST} characters.")
    text = _plain(folder / "email.txt", wanted, problems)
    file = folder / "email.mjml"
    checked = markup.check(file, folder.parent, wanted.host, problems)
    _check_uses(checked.uses, wanted, problems)
    if checked.text and "mj-preview" not in checked.tags:
        problems.add(file, 1, "<mj-preview>", "is missing: the line an inbox shows beside the subject.")
    for part, content in ((file, checked.text), (folder / "email.txt", text)):
        _needs(part, content, "unsubscribe_url", "an e-mail needs its unsubscribe link", problems)
        _needs(part, content, "postal_address", "an e-mail needs the sender's postal address", problems)
    for name in used(checked.text):
        variable = CATALOGUE.get(name)
        said = variable is None or variable.known is not Known.DECIDED or name.endswith("_image_url")
        if not said and name not in used(text):
            problems.add(
                folder / "email.txt", 0, f"{{{{ {name} }}}}", "is in email.mjml and not here; both say the same."
            )
    return {"subject": subject, "text": text, "html": _html(file, checked.text, problems)}


def _html(file: Path, text: str, problems: Problems) -> str:
    if any(problem.file.suffix == ".mjml" for problem in problems.found):
        return ""  # said already, with its line; the compiler has no lines
    try:
        html: str = mjml2html(text, fonts={}, disable_comments=False)
    except ValueError as error:
        problems.add(file, 0, "", f"does not compile: {error}.")
        return ""
    size = len(html.encode())
    if size > CLIPPED_AT - ROOM_FOR_VALUES:
        problems.add(
            file,
            0,
            "",
            f"is {size // 1024} KB of HTML. Inboxes clip a mail at 102 KB, and 12 KB are kept for what is filled in: "
            f"at most {(CLIPPED_AT - ROOM_FOR_VALUES) // 1024} KB.",
        )
    return html


def _sms(folder: Path, wanted: Wanted, problems: Problems) -> str:
    file = folder / "sms.txt"
    text = _plain(file, wanted, problems)
    _needs(file, text, "brand", "a text says whom it is from", problems)
    _needs(file, text, "sms_opt_out", "a text says how to opt out", problems)
    return text


def _push(folder: Path, wanted: Wanted, problems: Problems) -> Push | None:
    read = source.read(folder / "push.yml", problems)
    if read is None:
        return None
    limits = {"title": 80, "body": 240, "url": 400, "icon": 400}
    for key in read.data:
        if key not in limits:
            read.add(problems, (key,), f"unknown key.{did_you_mean(key, limits)}")
    values: dict[str, str] = {}
    for key, limit in limits.items():
        value = read.data.get(key) or ""
        if not isinstance(value, str) or (not value.strip() and key != "icon") or len(value) > limit:
            read.add(problems, (key,), f"expected {key} as text of at most {limit} characters, in quotes.")
            continue
        values[key] = value.strip()
        line = read.line((key,))
        _check_uses(list(markup.uses(read.file, value, problems, line)), wanted, problems)
    if values.get("url") and (wrong := markup.check_link(values["url"], wanted.host)):
        read.add(problems, ("url",), wrong)
    icon = values.get("icon")
    if icon and not icon.startswith("https://") and not re.fullmatch(r"\{\{ *rec\d_image_url *\}\}", icon):
        read.add(problems, ("icon",), f"expected an https:// address, found {icon!r}.")
    return Push(**values) if set(values) == set(limits) else None
