"""Every code that a page or `explain` may meet has words."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from outbox.enqueue import GATE_FAILED, NOT_APPROVED
from reports import render, story, words
from reports.story import About, seen, sentence
from senders.contract import CHANNELS, DeliveryKind, EngagementKind, OutcomeKind
from warehouse import settings

SKIPS = [
    "no_email_consent",
    "no_reachable_channel",
    "invalid_address",
    "suppressed",
    "same_person",
    "purchased_since",
    "active_again",
    "already_messaged",
    "too_late",
    "before_live",
    "step_disabled",
]
HOLDS = ["pool_dry", "nothing_to_recommend", "frequency_cap", "outranked", "gate_failed", "not_approved"]
AT_THE_CLAIM = ["no_sms_consent", "coupon_expired", "quiet_hours", "forgotten"]


@pytest.mark.parametrize("code", [*SKIPS, *HOLDS, *AT_THE_CLAIM, "holdout"])
def test_every_reason_has_words(code: str) -> None:
    reason = words.REASONS[code]
    assert reason.title and reason.sentence.endswith(".")
    assert "_" not in reason.title + reason.sentence


def test_whoever_waits_for_whatever_reason_is_in_the_trial() -> None:
    """A reason that the macro does not know would leave those who wait for it out of one arm of the comparison."""
    project = settings.read().home / "dbt_project"
    model = (project / "models" / "cohorts" / "int_evaluations.sql").read_text()
    told = set(re.findall(r"case when \w+ then '(\w+)' end", model)) - {"same_person"}
    assert told < set(HOLDS), "what is no hold is worked out in another way"
    assert set(HOLDS) - told == {"pool_dry", GATE_FAILED, NOT_APPROVED}
    macro = (project / "macros" / "holdout.sql").read_text()
    assert set(re.findall(r"'(\w+)'", macro[macro.index("<@ array[") :])) == set(HOLDS)


@pytest.mark.parametrize("reason", words.INVALID.values())
def test_every_cause_of_an_invalid_address_has_words(reason: words.Reason) -> None:
    assert reason.title and reason.sentence.endswith(".")
    assert "_" not in reason.title + reason.sentence.replace("America/New_York", "")


def test_an_old_decision_that_did_not_see_the_cause_names_all_of_them() -> None:
    assert words.decided("invalid_address", {}) == words.REASONS["invalid_address"]
    assert words.decided("suppressed", {"is_known": False}) == words.REASONS["suppressed"]


def test_a_reason_without_words_is_shown_and_not_hidden() -> None:
    assert words.reason("moon_too_full").title == "Moon too full"
    assert words.reason("30007").title == "Refused with code 30007"
    assert words.reason(None).title == "No reason given"


def test_every_channel_outcome_and_event_has_words() -> None:
    assert set(words.CHANNELS) == set(CHANNELS)
    assert {*story.OUTCOMES, "accepted"} == {*OutcomeKind, "open"}  # an accepted attempt is told as the sending
    assert set(story.DELIVERIES) == {*DeliveryKind} - {"unknown"}
    assert set(story.ENGAGEMENTS) == {*EngagementKind} - {"unknown"}


def test_a_step_is_named_by_its_condition() -> None:
    day30 = {"step": "day30", "trigger": "clock", "after_days": 30, "clock_kind": "last_purchase"}
    push = {"step": "push", "trigger": "event", "after_step": "day30", "event": "opened", "wait_days": 3}
    assert words.step(day30) == "30 days after the last purchase"
    assert words.step({**day30, "clock_kind": "last_activity"}) == "30 days without any activity"
    assert words.step(push, {"day30": day30}) == "3 days after opening the 30-day message"


def test_what_a_decision_saw_is_said_in_words() -> None:
    values = {
        "person_id": "7",
        "person_contacts": 1,
        "started_at": "2017-09-02T19:00:00+00:00",
        "last_purchase_at": "2017-09-02T19:00:00+00:00",
        "purchased_since_at": None,
        "late_days": 0,
        "is_known": True,
        "sms_consent": False,
        "channels": ["sms", "email"],
        "obstacles": {"webpush": "suppressed"},
        "touches_today": 0,
        "holdout_place": 63.21,
        "moon": "full",
    }
    person = {"timezone": "America/New_York", "has_phone": True, "has_sms_consent": False}
    about = About(person, "America/New_York")
    assert seen({"decision": "holdout", "seen": values}, about) == [
        "last purchase: 2017-09-02 15:00 EDT",
        "consent to texts: no",
        "can be reached by: text, e-mail",
        "what stands in the way: web push (on the stop list)",
        "place in the draw of those left alone (0 to 100): 63.2",
        "moon: full",
    ]
    shared = {"decision": "send", "seen": {"person_id": "7", "person_contacts": 2, "holdout_place": 63.21}}
    assert seen(shared, about) == ["contacts of the same person: 2"]
    assert seen(shared, replace(about, others=["7"])) == ["the same person as contact 7 (a shared address or phone)"]


def test_a_kind_nobody_wrote_words_for_is_named() -> None:
    assert sentence({"kind": "moved_house", "detail": {}}, "UTC") == "Moved house"


@pytest.mark.parametrize(
    ("value", "said"),
    [("16.00", "16"), ("5.67", "5.7"), ("2.00", "2"), ("9.96", "10"), ("1234.5", "1,234"), ("0.03", "less than 0.1")],
)
def test_a_pace_is_told_no_finer_than_it_means_something(value: str, said: str) -> None:
    assert render.pace(Decimal(value)) == said
