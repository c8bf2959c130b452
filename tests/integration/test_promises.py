"""What the demo says must never have happened is seen where it did."""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg
import pytest

from local.promises import MUST_NOT
from tests.integration.report_scenario import Scenario, on, winback

pytest_plugins = ["tests.integration.report_warehouse"]

(MESSAGED_TWICE,) = (it.query for it in MUST_NOT if it.what.startswith("people messaged twice"))


@pytest.mark.parametrize(
    ("first", "second", "episode_on", "twice"),
    [
        ({}, {}, None, 0),
        ({"phone": "+12125550199"}, {"phone": "+12125550199"}, None, 1),
        ({"email": "Home@example.com"}, {"email": " home@example.com"}, None, 1),
        ({"phone": "not known"}, {"phone": "not known"}, None, 0),
        ({"phone": "+12125550199"}, {"phone": "+12125550199"}, on(4, month=9), 1),  # two days on: the same quiet time
        ({"phone": "+12125550199"}, {"phone": "+12125550199"}, on(2, month=6), 0),
    ],
)
def test_two_contacts_of_one_person_with_the_same_step_are_one_messaged_twice(
    reports: psycopg.Connection, first: dict[str, Any], second: dict[str, Any], episode_on: date | None, twice: int
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann", **first)
    it.contact("bob", **second)
    run = it.run(on(2))
    it.message(run, on(2), "ann", episode_on=on(2, month=9))
    it.message(run, on(2), "bob", episode_on=episode_on or on(2, month=9), state="in_doubt")
    assert reports.execute(MESSAGED_TWICE).fetchone() == (twice,)
