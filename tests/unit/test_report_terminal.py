"""What a terminal says of the number beside those who were left alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from reports.read import Page
from reports.terminal import _compared


def arm(name: str, percent: str, **changes: object) -> dict[str, object]:
    return {
        "campaign": "winback", "arm": name, "percent": percent, "is_too_small": False, "is_still_watched": False,
        **changes,
    }  # fmt: skip


WRITTEN, ALONE = arm("written_to", "12.0"), arm("held_out", "9.0")


@pytest.mark.parametrize(
    ("holdout", "said"),
    [
        ([WRITTEN, ALONE], "12.0 % of those to be written to and 9.0 % of those left alone"),
        ([WRITTEN, {**ALONE, "is_still_watched": True}], "9.0 % of those left alone so far"),
        ([], "too few were left alone to compare them"),
        ([WRITTEN, {**ALONE, "is_too_small": True}], "too few were left alone to compare them"),
        (
            [WRITTEN, ALONE, arm("held_out", "0.0", campaign="reactivation", is_too_small=True)],
            "the page compares each campaign's with those left alone",
        ),
    ],
)
def test_the_comparison_is_told_as_far_as_there_is_one(holdout: list[dict[str, Any]], said: str) -> None:
    assert said in _compared(cast("Page", SimpleNamespace(holdout=holdout)))
