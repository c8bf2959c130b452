"""The table of provider behaviour names tests that exist, and the contributor's page names files that do."""

from __future__ import annotations

import re
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
NAME = re.compile(r"`([a-z0-9_*]{6,}(?:\.\.\.)?)`")


def known_tests() -> set[str]:
    files = [*(HOME / "tests").rglob("test_*.py")]
    return {name for path in files for name in re.findall(r"def test_(\w+)", path.read_text())}


def known_cases() -> set[str]:
    return {path.stem for path in (HOME / "tests" / "contract" / "webhooks").glob("*/*.json")}


def test_every_test_named_in_the_table_exists() -> None:
    tests, cases = known_tests(), known_cases()
    named = 0
    for line in (HOME / "docs" / "PROVIDERS.md").read_text().splitlines():
        if not line.startswith("| ") or line.startswith("| ---"):
            continue
        for name in NAME.findall(line.rsplit("|", 2)[1]):
            prefix = name.removesuffix("...").removesuffix("*")
            is_behaviour = name in {"talks_nonsense"}
            found = any(test.startswith(prefix) for test in tests) or any(case.startswith(prefix) for case in cases)
            assert found or is_behaviour or name in line.rsplit("|", 2)[0], f"PROVIDERS.md names {name!r}: no such test"
            named += 1
    assert named > 50


def test_every_file_named_for_contributors_exists() -> None:
    text = (HOME / "docs" / "ADDING_A_SENDER.md").read_text()
    for name in re.findall(r"`((?:senders|tests|events)/[\w/]+\.py)`", text):
        assert (HOME / name).exists() or "acme" in name, name
