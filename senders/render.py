"""Fills templates: `{{ name }}` and nothing else, so that what a marketer writes is all that can happen.

A value that is missing or blank is refused by name: a message never goes out with a hole in it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from senders.contract import Rejected

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


class Unfilled(Rejected):
    """A template asks for a variable that the message does not have."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"The template uses {{{{ {variable} }}}} and this message has no value for it. Nothing was sent.",
            code="unfilled_variable",
        )
        self.variable = variable


@lru_cache(maxsize=256)
def _parts(source: str) -> tuple[str, ...]:
    """Text, name, text, name, ..., text. A dispatch fills the same few templates again and again.

    Raises `Rejected` when braces are left over that are no placeholder.
    """
    parts = PLACEHOLDER.split(source)
    for text in parts[::2]:
        if "{{" in text:
            found = text[text.index("{{") :][:40].splitlines()[0]
            raise Rejected(f"The template holds {found!r}, which is not of the form {{{{ name }}}}.", code="template")
    return tuple(parts)


@lru_cache(maxsize=256)
def variables(source: str) -> tuple[str, ...]:
    """The names a template uses, each once, in the order of their first use."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(source)))


def check(sources: Sequence[str], fields: Mapping[str, str]) -> None:
    """What filling these would raise, without writing a text: `Unfilled` or `Rejected`."""
    for name in _names(tuple(sources)):
        value(name, fields)


@lru_cache(maxsize=256)
def _names(sources: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for source in sources for name in _parts(source)[1::2]))


def value(name: str, fields: Mapping[str, str]) -> str:
    """The field's value. Raises `Unfilled` when it is missing or blank."""
    found = fields.get(name)
    if found is None or not str(found).strip():
        raise Unfilled(name)
    return str(found)


def escaped(text: str) -> str:
    """`text` as it may stand in HTML, between tags or inside a quoted attribute."""
    return html.escape(text, quote=True)


def fill(source: str, replacement: Callable[[str], str]) -> str:
    """`source` with each placeholder replaced by `replacement(name)`, in one pass: a value is never read as a template.

    Raises `Rejected` when braces are left over that are no placeholder.
    """
    parts = _parts(source)
    return "".join(replacement(part) if at % 2 else part for at, part in enumerate(parts))


def render_text(source: str, fields: Mapping[str, str]) -> str:
    """Plain text: subject, text part, text message, push. Raises `Unfilled` or `Rejected`."""
    return fill(source, lambda name: value(name, fields))


def render_html(source: str, fields: Mapping[str, str]) -> str:
    """HTML: every value escaped. Raises `Unfilled` or `Rejected`."""
    return fill(source, lambda name: escaped(value(name, fields)))


def one_line(text: str) -> str:
    """`text` without line breaks: what may stand in a header or a subject."""
    return " ".join(text.split())
