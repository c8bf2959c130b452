"""The short version of `make faults`: each experiment once, small, beside the control."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.database import Arena
from tests.faults.experiments import EXPERIMENTS
from tests.faults.rounds import Result, run

pytestmark = pytest.mark.slow

NAMES = [experiment.name for experiment in EXPERIMENTS if experiment.seeds[True]]

AT_RANDOM = "at-random"
"""Its kills fall where they fall: so few of them may miss the control's calls. The full run asks it for duplicates, and
the last test here asks all controls together."""


@pytest.fixture(scope="module")
def played(postgres: str) -> Iterator[dict[str, Result]]:
    """Every experiment's short rounds, several at once: most of their time they wait for leases."""
    arena = Arena(postgres)
    try:
        results = run(arena, [one for one in EXPERIMENTS if one.name in NAMES], quick=True, at_once=6)
        yield {result.experiment.name: result for result in results}
    finally:
        arena.close()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_duplicated_lost_or_wrong_when_delivery_breaks(played: dict[str, Result], name: str) -> None:
    complaints = played[name].complaints
    if name == AT_RANDOM:
        complaints = [complaint for complaint in complaints if not complaint.startswith("the control shows nothing")]
    assert complaints == []


def test_the_control_sends_twice_under_the_same_faults(played: dict[str, Result]) -> None:
    assert sum(verdict.duplicated for result in played.values() for verdict in result.naive.values()) > 0
