"""A campaign file becomes one document and one hash, and a second campaign fits beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from campaigns import definition
from campaigns.changes import check_removed_keys
from campaigns.variables import CATALOGUE
from tests.unit.campaign_folder import Folder
from warehouse.errors import WinbackError


def step(body: definition.Document, key: str) -> definition.Document:
    return next(found for found in body["steps"] if found["key"] == key)


def test_the_shipped_campaign_is_valid_and_has_the_four_steps_of_the_design(folder: Folder) -> None:
    body = folder.load().campaigns["winback"].document()
    assert [found["key"] for found in body["steps"]] == ["day30", "day30_push", "day60", "day90"]
    assert [found["position"] for found in body["steps"]] == [1, 2, 3, 4]
    assert [found["step_days"] for found in body["steps"]] == [30, 33, 60, 90]
    assert [found["trigger"] for found in body["steps"]] == ["clock", "event", "clock", "clock"]
    assert body["mode"] == "shadow"
    assert body["holdout_percent"] == 10
    assert body["hours"] == {"email": ["08:00", "20:00"], "sms": ["09:00", "20:00"], "webpush": ["09:00", "20:00"]}


def test_defaults_are_filled_in_so_that_a_reader_never_guesses(folder: Folder) -> None:
    folder.change(folder.winback, "max_late_days: 3\n", "")
    folder.change(folder.winback, "caps:\n  per_day: 1\n  per_7_days: 3\n", "")
    body = folder.load().campaigns["winback"].document()
    assert body["max_late_days"] == 3
    assert body["caps"] == {"per_day": 1, "per_7_days": 3}


def test_the_hash_is_of_the_canonical_json_alone(folder: Folder) -> None:
    campaign = definition.load(folder.winback)
    canonical = json.dumps(campaign.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert campaign.hash == hashlib.sha256(canonical.encode()).hexdigest()


def test_comments_and_the_order_of_keys_do_not_change_the_hash(folder: Folder) -> None:
    before = folder.load().hash
    folder.change(folder.winback, "title: We miss you\n", "")
    folder.change(folder.winback, "enabled: true\n", "enabled: true  # on\ntitle: We miss you\n")
    assert folder.load().hash == before


def test_a_word_in_a_template_changes_the_hash_and_nothing_else_about_the_step(folder: Folder) -> None:
    before = folder.load()
    folder.change(folder.template("discount20/email.txt"), "love to have you back", "like to have you back")
    after = folder.load()
    assert after.hash != before.hash
    changed = {
        key
        for key in ("day30", "day30_push", "day60", "day90")
        for name in step(before.campaigns["winback"].document(), key)
        if step(before.campaigns["winback"].document(), key)[name]
        != step(after.campaigns["winback"].document(), key)[name]
    }
    assert changed == {"day90"}


def test_every_template_hash_of_a_document_has_its_template(folder: Folder) -> None:
    bundle = folder.load()
    hashes = {found["template_hash"] for found in bundle.campaigns["winback"].document()["steps"]}
    assert set(bundle.templates) == hashes
    assert all(template.template_hash == key for key, template in bundle.templates.items())


def test_a_document_lists_every_variable_its_templates_use_and_the_static_ones_have_values(folder: Folder) -> None:
    for found in folder.load().campaigns["winback"].document()["steps"]:
        assert set(found["variables"]) <= set(CATALOGUE) | {"step_url_sms", "step_url_webpush"}
        for name in found["variables"]:
            variable = CATALOGUE.get(name)
            if variable is None or variable.known == "static":
                assert found["merge_fields"][name]


def test_a_link_names_the_channel_that_carries_it(folder: Folder) -> None:
    folder.change(folder.template("discount10/sms.txt"), "{{ shop_url }}", "{{ step_url }}")
    bundle = folder.load()
    day60 = step(bundle.campaigns["winback"].document(), "day60")
    assert "{{ step_url_sms }}" in (bundle.templates[day60["template_hash"]].sms or "")
    assert "{{ step_url }}" in (bundle.templates[day60["template_hash"]].html or "")
    assert "utm_medium=sms" in day60["merge_fields"]["step_url_sms"]
    assert "utm_medium=email" in day60["merge_fields"]["step_url"]
    assert day60["merge_fields"]["utm"] in day60["merge_fields"]["step_url"]


def test_a_link_with_a_query_of_its_own_keeps_it(folder: Folder) -> None:
    folder.change(folder.winback, "link: /bestsellers", "link: /bestsellers?sort=new")
    push = step(folder.load().campaigns["winback"].document(), "day30_push")
    assert push["merge_fields"]["step_url"].startswith(
        "https://shop.example.com/bestsellers?sort=new&utm_source=winback&"
    )


def test_reactivation_fits_the_same_shape_beside_winback(folder: Folder) -> None:
    folder.add_reactivation()
    bundle = folder.load()
    assert list(bundle.campaigns) == ["reactivation", "winback"]
    assert bundle.document()["campaigns"]["reactivation"] == bundle.campaigns["reactivation"].hash
    body = bundle.campaigns["reactivation"].document()
    assert [found["step_days"] for found in body["steps"]] == [90, 94, 97]
    tag = step(body, "tag")
    assert (tag["channels"], tag["template_hash"], tag["variables"]) == ([], None, [])
    assert (tag["tag"], tag["tag_until"]) == ("customer_not-active_after-reactivation", "activity")
    assert bundle.timezone == "America/New_York"
    assert bundle.build_at == "05:00"


def test_a_removed_key_with_live_episodes_is_refused_until_a_step_was_renamed_from_it(folder: Folder) -> None:
    old = [folder.load().campaigns["winback"].document()]
    line = folder.change(folder.winback, "key: day90\n", "key: day95\n")
    assert line
    with pytest.raises(WinbackError, match=r"'day90' is gone while 4 contacts are .*\n?.*renamed_from: day90"):
        check_removed_keys(old, folder.load(), {("winback", "day90"): 4})
    check_removed_keys(old, folder.load(), {("winback", "day60"): 4})
    folder.change(folder.winback, "key: day95\n", "key: day95\n    renamed_from: day90\n")
    check_removed_keys(old, folder.load(), {("winback", "day90"): 4})


def test_a_folder_without_a_campaign_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(WinbackError, match=r"There is no campaign file in .*WINBACK_CAMPAIGNS"):
        definition.load_all(tmp_path)
