"""A copy of the shipped campaign folder that a test may spoil, and the words of the refusal it gets."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaigns import definition
from campaigns.definition import Bundle
from warehouse.errors import WinbackError

HOME = Path(__file__).resolve().parents[2]
SHIPPED = HOME / "campaigns"
REACTIVATION = Path(__file__).resolve().parent / "reactivation"


@dataclass(frozen=True)
class Folder:
    """Campaign files and templates under a temporary folder."""

    path: Path

    @property
    def winback(self) -> Path:
        """The campaign file."""
        return self.path / "winback.yml"

    def template(self, name: str) -> Path:
        """A file of a template: `we_miss_you/email.mjml`."""
        return self.path / "templates" / name

    def change(self, file: Path, old: str, new: str) -> int:
        """Replaces `old`, which must be there, by `new`; returns the line on which it stood."""
        text = file.read_text()
        assert old in text, f"{old!r} is not in {file.name}"
        file.write_text(text.replace(old, new, 1))
        return text[: text.index(old)].count("\n") + 1

    def add_reactivation(self) -> Path:
        """Puts the reactivation campaign beside winback; returns its file."""
        shutil.copytree(REACTIVATION, self.path, dirs_exist_ok=True)
        return self.path / "reactivation.yml"

    def load(self) -> Bundle:
        """The folder, read."""
        return definition.load_all(self.path)

    def refusal(self) -> str:
        """The words with which the folder is refused; fails where it is accepted."""
        with pytest.raises(WinbackError) as caught:
            self.load()
        return str(caught.value)

    def told(self, words: str) -> str:
        """The first line of the refusal with these words; fails where there is none."""
        refusal = self.refusal()
        assert "Nothing was decided and nothing was sent." in refusal
        lines = [line for line in refusal.splitlines() if words in line]
        assert lines, refusal
        return lines[0]


def copy(folder: Path) -> Folder:
    """A fresh copy of what is shipped, under `folder`."""
    target = folder / "campaigns"
    target.mkdir()
    shutil.copy(SHIPPED / "winback.yml", target)
    shutil.copytree(SHIPPED / "templates", target / "templates")
    return Folder(target)
