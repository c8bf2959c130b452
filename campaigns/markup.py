"""Checks one MJML file: tags, attributes, nesting, links, variables, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

from campaigns import vocabulary as mjml
from campaigns.problems import Problems, did_you_mean
from campaigns.variables import CATALOGUE, PLACEHOLDER

INCLUDE = re.compile(r"<mj-include\s+path\s*=\s*[\"']([^\"']*)[\"']\s*/?>(?:\s*</mj-include>)?")
_STYLES = re.compile(r"<(mj-style|style)\b[^>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
MAX_DEPTH = 5
_LINKS = frozenset({"href"})
_PICTURES = frozenset({"src", "background-url", "background"})


@dataclass
class Use:
    """One use of a variable."""

    file: Path
    line: int
    name: str


@dataclass
class Checked:
    """What one MJML file and its includes hold."""

    text: str = ""
    """With its includes put in."""
    uses: list[Use] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)


def check(file: Path, root: Path, host: str, problems: Problems) -> Checked:
    """Reads and checks an MJML file and what it includes.

    `root` is the folder that includes must stay in, `host` the shop's host, which every fixed link must lead to.
    """
    checked = Checked()
    checked.text = _Walk(root.resolve(), host, problems, checked).read(file)
    return checked


def uses(file: Path, text: str, problems: Problems, first: int = 1) -> Iterator[Use]:
    """The variables of a text that begins on line `first`, with their lines; notes braces that are no `{{ name }}`."""
    lines = text.splitlines()
    blanked = "\n".join(PLACEHOLDER.sub(lambda match: " " * len(match[0]), line) for line in lines)
    bare = _STYLES.sub(_without_braces, blanked).split("\n")
    for number, (line, rest) in enumerate(zip(lines, bare, strict=False), start=first):
        for match in PLACEHOLDER.finditer(line):
            yield Use(file, number, match[1])
        if stray := re.search(r"[{}]", rest):
            problems.add(
                file,
                number,
                "",
                f"found {line[stray.start() :][:30].rstrip()!r}. Expected {{{{ name }}}} in one line and no other "
                "brace: templates hold no logic and no filters.",
            )


def _without_braces(style: re.Match[str]) -> str:
    """A style sheet without the braces of its rules, each a space: they are its own. Two opening ones are no CSS."""
    return re.sub(r"(?<!\{)\{(?![{%])|(?<!%)\}", " ", style[0])


def check_link(value: str, host: str) -> str | None:
    """What is wrong with a link, if anything: it is one URL variable, or an https address of the shop's domain."""
    match = PLACEHOLDER.fullmatch(value.strip())
    if match:
        known = CATALOGUE.get(match[1])
        if known is not None and not known.is_url:
            return f"{{{{ {match[1]} }}}} is not an address. Expected a variable whose name ends in _url."
        return None
    if value.startswith("mailto:") and "{{" not in value:
        return None
    parts = urlsplit(value)
    if "{{" in value or parts.scheme != "https" or not parts.hostname:
        return f"expected one variable such as {{{{ step_url }}}}, or an https:// address of {host}, found {value!r}."
    if not of_domain(parts.hostname, host):
        return f"{value!r} does not lead to the shop's domain {host}."
    return None


def of_domain(found: str, host: str) -> bool:
    """Whether a host is the shop's own or below it (`www.` does not count)."""
    domain = host.removeprefix("www.")
    return found == domain or found.endswith(f".{domain}")


@dataclass(frozen=True)
class _Walk:
    """The way through a file and what it includes."""

    root: Path
    host: str
    problems: Problems
    checked: Checked

    def read(self, file: Path, parent: str = "", depth: int = 0) -> str:
        """The file's text with its includes put in; `parent` is the tag that an included file stands in."""
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.problems.add(file, 0, "", f"cannot be read: {error}.")
            return ""
        self.checked.uses.extend(uses(file, text, self.problems))
        parser = _Parser(file, parent, self.host, self.problems)
        parser.feed(text)
        parser.close()
        parser.finish()
        self.checked.tags |= parser.tags
        includes = iter(parser.includes)

        def put_in(match: re.Match[str]) -> str:
            inside, line = next(includes, (parent, 0))
            target = (file.parent / match[1]).resolve()
            if not target.is_relative_to(self.root) or not target.is_file():
                self.problems.add(file, line, "mj-include", f"there is no file {match[1]!r} in {self.root.name}/.")
                return ""
            if depth >= MAX_DEPTH:
                self.problems.add(file, line, "mj-include", f"files include each other more than {MAX_DEPTH} deep.")
                return ""
            return self.read(target, inside, depth + 1)

        return INCLUDE.sub(put_in, text)


class _Parser(HTMLParser):
    """Walks the tags; `HTMLParser` is lenient, so that all mistakes are met, not only the first."""

    def __init__(self, file: Path, parent: str, host: str, problems: Problems) -> None:
        super().__init__(convert_charrefs=True)
        self.file, self.parent, self.host, self.problems = file, parent, host, problems
        self.open: list[tuple[str, int]] = []
        self.tags: set[str] = set()
        self.includes: list[tuple[str, int]] = []

    @property
    def line(self) -> int:
        return self.getpos()[0]

    @property
    def inside(self) -> str:
        return self.open[-1][0] if self.open else self.parent

    def note(self, key: str, message: str, line: int | None = None) -> None:
        self.problems.add(self.file, line or self.line, key, message)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag(tag, attrs)
        if tag not in mjml.VOID:
            self.open.append((tag, self.line))
            if tag == "mj-style":
                self.set_cdata_mode(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in mjml.VOID:
            return
        if self.open and self.open[-1][0] == tag:
            self.open.pop()
        elif tag in (name for name, _ in self.open):
            while self.open[-1][0] != tag:
                name, line = self.open.pop()
                self.note(f"<{name}>", f"is not closed before </{tag}> on line {self.line}.", line)
            self.open.pop()
        else:
            meant = did_you_mean(tag, [self.inside]) if self.open and tag not in mjml.ATTRIBUTES else ""
            misspelt = meant.endswith("?")
            self.note(f"</{tag}>", f"closes a tag that is not open here.{meant if misspelt else ''}")
            if misspelt:  # closed after all, or all that follows would seem to stand inside it
                self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and self.inside in mjml.CHILDREN and (self.open or self.parent):
            self.note(f"<{self.inside}>", f"holds bare text {data.strip()[:30]!r}; put it into <mj-text>.")
        if self.inside in {"mj-style", "style", "script"} and PLACEHOLDER.search(data):
            self.note(f"<{self.inside}>", "a variable cannot stand in styles or scripts.")

    def finish(self) -> None:
        """Notes what was never closed."""
        for name, line in self.open:
            self.note(f"<{name}>", "is never closed.", line)

    def _tag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        inside, known = self.inside, tag in mjml.ATTRIBUTES or tag in {"mj-all", "mj-class"}
        allowed = mjml.CHILDREN.get(inside)
        if tag == "mj-include":
            self.includes.append((inside, self.line))
        if tag == "script":
            self.note("<script>", "inboxes run no scripts.")
        if not known and (tag.startswith("mj") or allowed is not None):
            self.note(f"<{tag}>", f"is no MJML tag.{did_you_mean(tag, allowed or mjml.ATTRIBUTES)}")
            return
        if known and allowed is None and inside:
            self.note(f"<{tag}>", f"cannot stand in <{inside}>, which holds text and HTML.")
        elif known and allowed is not None and tag not in allowed:
            self.note(f"<{tag}>", f"cannot stand in {f'<{inside}>' if inside else 'the file by itself'}.")
        if inside in mjml.TEXT_ONLY:
            self.note(f"<{tag}>", f"cannot stand in <{inside}>, which holds text alone.")
        if known:
            self._attributes_of(tag, attrs)
        self._values(tag, attrs)

    def _attributes_of(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if self.inside == "mj-attributes":
            allowed = (
                frozenset().union(*mjml.ATTRIBUTES.values()) if tag in {"mj-all", "mj-class"} else mjml.ATTRIBUTES[tag]
            )
            allowed = allowed | {"name"} if tag == "mj-class" else allowed
        else:
            allowed = mjml.ATTRIBUTES.get(tag, frozenset()) | mjml.EVERYWHERE
        for name in sorted(names - allowed):
            self.note(f"<{tag} {name}>", f"is no attribute of <{tag}>.{did_you_mean(name, allowed)}")
        if self.inside == "mj-attributes":
            return
        if tag == "mj-button" and "href" not in names:
            self.note("<mj-button>", "has no href: it would look like a button and lead nowhere.")
        if tag == "mj-image" and not {"alt", "src"} <= names:
            self.note("<mj-image>", "needs src and alt; alt is what people read whose inbox hides pictures.")

    def _values(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            text = value or ""
            if name in _LINKS and tag not in {"mj-font", "link"}:
                wrong = check_link(text, self.host)
            elif name in _PICTURES:
                wrong = None if text.startswith("https://") and "{{" not in text else _check_picture(text)
            elif PLACEHOLDER.search(text) and name not in {"alt", "title"}:
                wrong = "a variable can stand in href, src, alt and title only."
            else:
                continue
            if wrong:
                self.note(f"<{tag} {name}>", wrong)
        if tag == "img" and "alt" not in {name for name, _ in attrs}:
            self.note("<img>", "has no alt, which is what people read whose inbox hides pictures.")


def _check_picture(value: str) -> str | None:
    match = PLACEHOLDER.fullmatch(value.strip())
    if match and (match[1] not in CATALOGUE or match[1].endswith("_image_url")):
        return None
    return f"expected one variable such as {{{{ rec1_image_url }}}}, or an https:// address, found {value!r}."
