"""docs/PROVIDERS.md: every rule says where it comes from, and every test that it names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
PAGE = (HOME / "docs" / "PROVIDERS.md").read_text()
WEBHOOKS = HOME / "tests" / "contract" / "webhooks"


def rules() -> Iterator[dict[str, str]]:
    """Each row of each table, by the heading of its column; the first column is the `rule`."""
    heading: list[str] = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            heading = []
        elif not heading:
            heading = ["rule", *cells[1:]]
        elif not set(line) <= set("| -"):
            yield dict(zip(heading, cells, strict=True))


RULES = list(rules())
FILES = {path.name: path.read_text() for path in (HOME / "tests").rglob("test_*.py")}
TESTS = {name for text in FILES.values() for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}


@pytest.mark.parametrize("rule", RULES, ids=[rule["rule"][:50] for rule in RULES])
def test_a_rule_names_its_source_and_tests_that_exist(rule: dict[str, str]) -> None:
    assert rule["source"]
    named = re.findall(r"`([^`]+)`", rule["test"])
    assert named, "a rule that nothing shows"
    for name in named:
        is_fixture = "/" in name and (WEBHOOKS / f"{name}.json").exists()
        assert is_fixture or name in TESTS or name in FILES, f"{name} is neither a test, a test file nor a fixture"


def test_every_source_that_is_named_has_its_link_and_every_link_is_named() -> None:
    body, *links = re.split(r"(?m)^(?=\[[\w-]+\]: https://)", PAGE)
    known = {link[1 : link.index("]")] for link in links}
    named = set(re.findall(r"\]\[([\w-]+)\]", body))
    assert named <= known
    assert known <= named | set(re.findall(r"\[([\w-]+)\]", body))


def test_the_page_has_the_rules_of_every_vendor() -> None:
    vendors = {path.parent.name for path in (HOME / "senders").glob("*/transport.py")}
    assert vendors == {"sendgrid", "twilio", "webpush"}
    assert len(RULES) > 60
