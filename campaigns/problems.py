"""What is wrong with a campaign's files, gathered and told all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from warehouse.errors import WinbackError

NOTHING_HAPPENED = "Nothing was decided and nothing was sent."


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake, as the person who made it can mend it."""

    file: Path
    line: int
    """1-based; 0 where the whole file is meant."""
    key: str
    """`steps[1].event`, `{{ rec4_name }}`, or empty."""
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "the file"
        return f"{shown(self.file)}, {where}{', ' + self.key if self.key else ''}: {self.message}"


@dataclass
class Problems:
    """The mistakes found so far; `refuse()` ends with all of them."""

    found: list[Problem] = field(default_factory=list)

    def add(self, file: Path, line: int, key: str, message: str) -> None:
        """Notes one mistake; reading goes on."""
        self.found.append(Problem(file, line, key, message))

    def refuse(self) -> None:
        """Raises `WinbackError` with every mistake, in the order of the files; returns where there is none."""
        if not self.found:
            return
        listed = sorted(set(self.found))
        count = f"{len(listed)} mistakes" if len(listed) > 1 else "one mistake"
        lines = "\n".join(f"  {problem}" for problem in listed)
        raise WinbackError(f"The campaign files have {count}. {NOTHING_HAPPENED}\n{lines}")


def shown(path: Path) -> str:
    """The path as a person would type it: from the working folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'event'?`, or where nothing is close, what there is: ` Known: clicked, opened, sent.`"""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Known: {', '.join(choices)}." if choices else ""
