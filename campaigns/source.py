"""A YAML file as plain values, with the line on which each of them stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from campaigns.problems import Problems

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_NEVER_CLOSED, _GOES_ON = "end of stream", "goes on"
_SAID = {
    "\\t": "a tab stands where only spaces may",
    _GOES_ON: "a text goes on after its closing quotation mark (an apostrophe within '...' is written twice, or the "
    'text stands within "..."; or a mark further up is never closed)',
    "but found '<scalar>'": "a text stands where none can (is it indented differently from its neighbours, or does a "
    "value that begins with [ or { lack its quotes?)",
    "<block end>": "a line is indented differently from those that it belongs to",
    "mapping values are not allowed": "a key stands where none can (is it indented differently from its neighbours, "
    "does a text with a colon lack its quotes, or the line before its colon and a blank after it?)",
    _NEVER_CLOSED: "a quotation mark or bracket is never closed",
    "expected ',' or": "a bracket is never closed, or a comma is missing",
    "could not find expected ':'": "a line is neither a key with its colon nor part of a text",
    "cannot start any token": "a value begins with a mark that needs quotes around it",
    "undefined alias": "a value that begins with * needs quotes around it",
    "unknown escape": "a backslash within \"...\" is written twice, or the text stands within '...'",
    "line break, but found": "a value that begins with > or | needs quotes around it",
    "chomping or indentation": "a value that begins with > or | needs quotes around it",
}
"""What the YAML parser says, by a part of it -> what a person can do about."""

FREE_TEXT = frozenset({"title", "name", "from_name", "postal_address", "brand", "opt_out", "offer"})
"""Keys whose values are anybody's words: there a number sign may belong to them."""

Place = tuple[str | int, ...]
"""The way to a value: `("steps", 1, "event")`."""


@dataclass(frozen=True)
class Source:
    """One file that was read."""

    file: Path
    data: dict[str, Any]
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """The 1-based line of a key; of what encloses it where the key itself is not there."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def add(self, problems: Problems, place: Place, message: str) -> None:
        """Notes a mistake at a place of this file."""
        problems.add(self.file, self.line(place), key_of(place), message)


def key_of(place: Place) -> str:
    """`steps[1].event`: a place as a person would write it."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _in_words(problem: str) -> str:
    """What the parser stumbled over, for somebody who has never read its grammar."""
    return next((words for part, words in _SAID.items() if part in problem), problem)


def _stumbled(error: YAMLError, text: str) -> tuple[str, StreamMark | None]:
    """What the parser says, and where the mistake is: of what is never closed not the end of the file."""
    if not isinstance(error, MarkedYAMLError):
        return "it holds a character that is no text", None
    what, mark = error.problem or "it does not parse", error.problem_mark
    if (
        mark
        and "but found '<scalar>'" in what
        and text.splitlines()[mark.line][: mark.column].rstrip()[-1:] in {"'", '"'}
    ):
        what = _GOES_ON
    return what, (error.context_mark if _NEVER_CLOSED in what else None) or mark


def read(file: Path, problems: Problems) -> Source | None:
    """The file, or None where it cannot be read at all; duplicate keys are noted and reading goes on."""
    yaml = YAML(typ="rt", pure=True)
    yaml.allow_duplicate_keys = True
    root = None
    try:
        text = file.read_text(encoding="utf-8")
        root = yaml.compose(text)
        data = _plain(yaml.load(text))
    except OSError as error:
        problems.add(file, 0, "", f"cannot be read: {error.strerror}.")
        return None
    except UnicodeDecodeError:
        problems.add(file, 0, "", "is not UTF-8 text. Save it as UTF-8.")
        return None
    except YAMLError as error:
        what, mark = _stumbled(error, text)
        line, where = (mark.line, ", here or on the line before") if mark else (-1, "")
        near = " ".join(text.splitlines()[max(line - 1, 0) : line + 1]) if mark else ""
        hint = ' A value that begins with {{ needs quotes: "{{ name }}".' if re.search(r":\s*\{\{", near) else ""
        problems.add(file, line + 1, "", f"is not valid YAML{where}: {_in_words(what)}.{hint}")
        return None
    except (ValueError, OverflowError, KeyError):  # the parser makes dates and numbers of what looks like one
        impossible = list(_impossible(root, ()))
        for place, line in impossible:
            problems.add(file, line, key_of(place), "no calendar has this day, or no clock this hour.")
        if not impossible:
            problems.add(file, 0, "", "holds a number, a date or a character that cannot be read.")
        return None
    if not isinstance(data, dict):
        problems.add(file, 0, "", "expected a list of keys such as `campaign: winback`, found something else.")
        return None
    source = Source(file, data, dict(_places(root, ())))
    for place, first, again in _duplicates(root, ()):
        problems.add(file, again, key_of(place), f"this key was already given on line {first}; keep one of the two.")
    for place, line, rest in _cut_short(root, (), text.splitlines()):
        problems.add(
            file,
            line,
            key_of(place),
            f"YAML takes {rest!r} for a comment. Put the value in quotes where that belongs to it, or "
            "a blank behind the #.",
        )
    return source


def _plain(value: Any) -> Any:
    """Without the parser's own types, which remember comments."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def _places(node: Node | None, place: Place) -> Iterator[tuple[Place, int]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            yield here, key.start_mark.line + 1
            yield from _places(value, here)
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            yield (*place, number), item.start_mark.line + 1
            yield from _places(item, (*place, number))


def _impossible(node: Node | None, place: Place) -> Iterator[tuple[Place, int]]:
    """The values that look like a day or an instant and are none."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _impossible(value, (*place, str(key.value)))
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            yield from _impossible(item, (*place, number))
    elif isinstance(node, ScalarNode):
        try:
            YAML(typ="safe", pure=True).load(node.value) if node.tag == _TIMESTAMP else None
        except ValueError:
            yield place, node.start_mark.line + 1


def _cut_short(node: Node | None, place: Place, lines: list[str]) -> Iterator[tuple[Place, int, str]]:
    """Free text without quotes behind which stands what may have been meant to belong to it: `Market #1`."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _cut_short(value, (*place, str(key.value)), lines)
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            yield from _cut_short(item, (*place, number), lines)
    elif isinstance(node, ScalarNode) and node.style is None and place[-1:] and place[-1] in FREE_TEXT:
        rest = lines[node.end_mark.line][node.end_mark.column :].strip() if node.end_mark.line < len(lines) else ""
        if re.match(r"#[^\s#]", rest):
            yield place, node.end_mark.line + 1, rest


def _duplicates(node: Node | None, place: Place) -> Iterator[tuple[Place, int, int]]:
    if isinstance(node, MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                yield (*place, name), seen[name], line
            seen.setdefault(name, line)
            yield from _duplicates(value, (*place, name))
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            yield from _duplicates(item, (*place, number))
