"""Growth: what a day's `dbt build` costs the database when the shop is ten times as old, with the same daily volume."""

from __future__ import annotations

from collections.abc import Sequence

from bench.days import LARGE, SMALL, Day, shop, work
from bench.measure import Figure, median, spread

LIMIT = 1.3
SHOWN = 8


def run(quick: bool) -> list[Figure]:
    """Database time of the day's build, the old shop's over the young one's; wall time is shown beside it."""
    small, large = (shop(name, quick) for name in (SMALL, LARGE))
    work([small, large])
    spent = {it.name: [day.database["build"].total for day in it.days] for it in (small, large)}
    wall = {it.name: [day.wall["build"] for day in it.days] for it in (small, large)}
    return [
        Figure(
            "a day's build: ten times the history over once",
            median(spent[LARGE]) / median(spent[SMALL]),
            LIMIT,
            measured={
                "orders": {it.name: it.orders for it in (small, large)},
                "orders a day": small.history.daily,
                "database seconds": {name: spread(values) for name, values in spent.items()},
                "wall seconds": {name: spread(values) for name, values in wall.items()},
                "relations that grew most (seconds)": grew(small.days, large.days),
            },
            summary=f"{median(spent[LARGE]):.2f} s and {median(spent[SMALL]):.2f} s; "
            f"wall {median(wall[LARGE]):.0f} s and {median(wall[SMALL]):.0f} s",
            note="every statement of `winback build`, dbt's tests included; its start-up is not database time",
        )
    ]


def grew(small: Sequence[Day], large: Sequence[Day]) -> dict[str, list[float]]:
    """Relation -> its median seconds in the young and in the old shop, where the difference is largest."""
    nodes = {node for day in (*small, *large) for node in day.database["build"].by_relation}
    both = {
        node: [median([day.database["build"].by_relation.get(node, 0.0) for day in days]) for days in (small, large)]
        for node in nodes
    }
    largest = sorted(both, key=lambda node: both[node][0] - both[node][1])[:SHOWN]
    return {node or "(tests, catalog, commits)": [round(seconds, 3) for seconds in both[node]] for node in largest}
