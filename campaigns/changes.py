"""What a new definition must not do to people who are in the middle of an old one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from campaigns.definition import Bundle
from campaigns.problems import NOTHING_HAPPENED, did_you_mean, shown
from warehouse.errors import WinbackError


def check_removed_keys(
    old_documents: Iterable[Mapping[str, Any]], new_bundle: Bundle, live_steps: Mapping[tuple[str, str], int]
) -> None:
    """Refuses a bundle that drops a step's key while people are in the middle of it.

    `old_documents` are the definitions that earlier runs went by. `live_steps` counts the live episodes of each
    (campaign, step): contacts that had the step and whose clock has not started again. A key is how we know who already
    had a step, so one that is gone must be named by another step's `renamed_from`. A campaign that is gone as a whole
    sends nothing any more and is not refused.

    Raises `WinbackError` naming each key, its file and what to write.
    """
    lines = []
    for campaign_name, key in removed_keys(old_documents, new_bundle):
        campaign = new_bundle.campaigns[campaign_name]
        live = live_steps.get((campaign_name, key), 0)
        if not live:
            continue
        keys = [step["key"] for step in campaign.document()["steps"]]
        people = "one contact is" if live == 1 else f"{live} contacts are"
        lines.append(
            f"  {shown(campaign.file)}, steps: the key {key!r} is gone while {people} in the middle of it. Put it back "
            f"(`enabled: false` switches it off), or add `renamed_from: {key}` to the step that takes its place."
            f"{did_you_mean(key, keys)}"
        )
    if lines:
        raise WinbackError(f"Steps with live episodes were removed. {NOTHING_HAPPENED}\n" + "\n".join(lines))


def removed_keys(old_documents: Iterable[Mapping[str, Any]], new_bundle: Bundle) -> list[tuple[str, str]]:
    """(campaign, key) of each step that an earlier run knew and that the bundle neither has nor renames."""
    old = {(str(body["campaign"]), str(step["key"])) for body in old_documents for step in body["steps"]}
    new = {
        (name, key)
        for name, campaign in new_bundle.campaigns.items()
        for step in campaign.document()["steps"]
        for key in (step["key"], step["renamed_from"])
    }
    return sorted((name, key) for name, key in old - new if name in new_bundle.campaigns)
