"""The contributor's page names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]


def test_every_file_named_for_contributors_exists() -> None:
    text = (HOME / "docs" / "ADDING_A_SENDER.md").read_text()
    for name in re.findall(r"`((?:senders|tests|events)/[\w/]+\.py)`", text):
        assert (HOME / name).exists() or "acme" in name, name
