"""`winback explain` on the week of `report_story`."""

from __future__ import annotations

import json
from datetime import date

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import register
from reports.explain import Explanation, explain
from tests.integration.report_scenario import Scenario, at, on, winback
from tests.integration.report_story import Story
from warehouse.errors import WinbackError

pytest_plugins = ["tests.integration.report_warehouse"]


def what(told: Explanation) -> list[str]:
    return [line.what for line in told.after]


def test_a_message_is_told_from_the_decision_to_the_purchase(week: Story) -> None:
    told = explain("cat", date(2017, 10, 2))
    assert [verdict.title for verdict in told.verdicts] == ["day60: Write to them"]
    assert what(told) == [
        "The code T10-1 of winback_discount10 was set aside for them, valid until 2017-10-16 05:00 EDT",
        "The day60 message was planned: by text, or else by e-mail, from 2017-10-02 10:00 EDT on",
        "The day60 message was sent by text",
        "They were given the tag coupon_winback10",
        "The text was delivered",
        "They clicked in the text",
        "They bought for 40.00 USD, with the code T10-1; 15.00 of it was refunded",
    ]
    assert told.after[2].when == "2017-10-02 10:00 EDT"


def test_a_machines_open_is_told_as_no_open(week: Story) -> None:
    assert "A machine opened the e-mail; that does not count as an open" in what(explain("ann", date(2017, 10, 2)))


def test_a_refusal_gives_its_reason_and_the_values_it_saw(week: Story) -> None:
    told = explain("hal", date(2017, 10, 2))
    assert told.verdicts[0].title == "day30: Leave out: No consent to e-mail"
    assert told.verdicts[0].reasons == [
        "No consent to e-mail. They did not agree to marketing e-mail, or nobody knows that they did. Unknown is a no."
    ]
    assert "consent to e-mail: no" in told.verdicts[0].seen
    assert "due on 2017-10-02" in told.verdicts[0].seen


def test_a_message_stopped_at_the_last_moment_says_by_what(week: Story) -> None:
    assert "The day30 message was stopped at the last moment: Bought in the meantime" in what(explain("jon"))


def test_a_code_that_went_back_and_a_refusal_are_told(week: Story) -> None:
    told = what(explain("dan"))
    assert "Sending the day60 message by e-mail, try 1: refused by the provider (code http_400)" in told
    assert "The code T10-2 went back to winback_discount10: its message never left" in told


def test_a_message_in_doubt_says_that_it_is_never_sent_again(week: Story) -> None:
    told = what(explain("eve"))
    assert (
        "Sending the day60 message by e-mail, try 1: the answer was lost, so it may or may not have left (code timeout)"
        in told
    )
    assert "The day60 message may or may not have left; it is never sent again by itself: No answer in time" in told


def test_the_holdout_is_told_and_that_they_bought(week: Story) -> None:
    told = explain("ida")
    assert told.verdicts[0].title == "day30: Leave alone, to compare with"
    assert what(told) == ["They bought for 12.00 USD"]


def test_what_lies_after_the_reporting_clock_is_not_told(week: Story) -> None:
    assert not any("70.00" in line for line in what(explain("ann")))
    assert not any("61.00" in line for line in what(explain("gus")))


def test_a_later_day_begins_with_what_came_before(week: Story) -> None:
    told = explain("gus", date(2017, 10, 3))
    assert [line.what for line in told.before] == ["Decided on day90 (winback): Put off: No code left"]
    assert {verdict.title for verdict in told.verdicts} == {
        "day90: Write to them", "day90: Leave out: Already had this message",
    }  # fmt: skip
    assert "They asked to be left alone (e-mail, one click)" in what(told)
    assert "They bought for 60.00 USD; the order was cancelled later and counts for nothing" in what(told)


def test_without_a_day_it_is_the_last_one_with_a_decision(week: Story) -> None:
    assert explain("lea").day == date(2017, 10, 5)


def test_who_was_not_due_hears_when_they_will_be(week: Story) -> None:
    told = explain("zoe", date(2017, 10, 8))
    assert told.verdicts == []
    assert told.notes == [
        "They were not due for any step on that day, so nothing was decided about them.",
        "Their last purchase before that day was on 2017-09-20, 18 days ago.",
        "day30 (30 days after the last purchase) falls due on 2017-10-20, unless they buy before.",
        "day60 (60 days after the last purchase) falls due on 2017-11-19, unless they buy before.",
        "day90 (90 days after the last purchase) falls due on 2017-12-19, unless they buy before.",
    ]


def test_the_last_purchase_is_the_one_before_the_day_and_not_a_later_one(week: Story) -> None:
    told = explain("ben", date(2017, 10, 8))
    assert "Their last purchase before that day was on 2017-10-06, 2 days ago." in told.notes
    assert (
        "Their last purchase before that day was on 2017-10-03, 2 days ago." in explain("ben", date(2017, 10, 5)).notes
    )


def test_who_has_never_bought_hears_that_no_clock_runs(week: Story) -> None:
    assert (
        "They had bought nothing before that day: the clock of the win-back steps had not started."
        in explain("mia", date(2017, 10, 8)).notes
    )


@pytest.mark.parametrize(("orders", "more"), [(6, []), (7, ["1 more line"]), (9, ["3 more lines"])])
def test_of_a_long_story_the_last_lines_are_told_and_the_others_counted(
    reports: psycopg.Connection, orders: int, more: list[str]
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    for day in range(1, orders + 1):
        it.order(f"ann-{day}", "ann", at(day, 12, month=9))
    it.decide(it.run(on(2)), on(2), "ann", "day30", "skip", "purchased_since")
    *counted, first = [line.what for line in explain("ann", on(2)).before][:-5]
    assert counted == [f"{words} before that, in reports.rpt_timeline" for words in more]
    assert "before that" not in first


def test_who_is_past_every_step_hears_that_none_is_left(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("old")
    it.order("old-0", "old", at(1, 12, month=1))
    it.run(on(2))
    assert (
        "The last step (day90) was due on 2017-04-01: none is left until they buy again." in explain("old", on(2)).notes
    )


def test_a_day_that_was_not_run_or_failed_is_said(week: Story) -> None:
    assert explain("ann", date(2017, 11, 1)).notes[0] == (
        "2017-11-01 was never run (runs are on record from 2017-10-02 to 2017-10-08), "
        "so nothing was decided about anybody."
    )
    assert "The run of that day failed" in explain("ann", date(2017, 10, 7)).notes[0]


def test_an_unknown_contact_is_an_error_that_names_some_known_ones(week: Story) -> None:
    with pytest.raises(WinbackError, match=r"no contact 'nobody'.*ann, ben, cat"):
        explain("nobody", date(2017, 10, 2))


def test_a_contact_that_only_orders_know_is_told_by_those_and_with_what_to_do(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.order("o1", "stranger", at(2, 15, month=9))
    it.order("o2", "stranger", at(9, 12))
    seen = {"is_known": False, "email_consent": False, "obstacles": {"email": "no_reachable_channel"}}
    it.decide(it.run(on(2)), on(2), "stranger", "day30", "skip", "invalid_address", seen=seen)
    it.run(on(10))
    told = explain("stranger")
    assert told.person == "not in raw.contacts"
    assert told.notes == [
        "raw.contacts has no contact 'stranger', and 2 orders name them in raw.orders: load the contact, or correct "
        "contact_id of the orders. Until then nothing is sent to them."
    ]
    (verdict,) = told.verdicts
    assert verdict.title == "day30: Leave out: Not among the shop's contacts"
    assert verdict.reasons[0].startswith("Not among the shop's contacts. Orders or visits name this contact")
    assert "malformed" not in verdict.reasons[0]
    assert what(told) == ["They bought for 20.00 USD"]
    screen = CliRunner().invoke(register(), ["explain", "stranger"])
    assert screen.exit_code == 0, screen.output
    assert "Contact stranger · not in raw.contacts" in screen.stdout


@pytest.mark.parametrize(
    ("contact", "seen", "title", "line"),
    [
        (
            {"timezone": "Mars/Olympus"},
            {"is_known": True, "is_timezone_malformed": True, "timezone": None},
            "Time zone unusable",
            "time zone on file: was none that exists; now it is Mars/Olympus",
        ),
        (
            {"email": "not an address"},
            {"is_known": True, "is_timezone_malformed": False, "obstacles": {"email": "invalid_address"}},
            "Address unusable",
            "what stands in the way: e-mail (address unusable)",
        ),
    ],
)
def test_what_is_malformed_is_named(
    reports: psycopg.Connection, contact: dict[str, object], seen: dict[str, object], title: str, line: str
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann", **contact)
    it.decide(it.run(on(2)), on(2), "ann", "day30", "skip", "invalid_address", seen=seen)
    (verdict,) = explain("ann").verdicts
    assert verdict.title == f"day30: Leave out: {title}"
    assert verdict.reasons[0].startswith(f"{title}. ")
    assert verdict.seen == ["due on 2017-10-02", line]


def test_a_contact_without_a_zone_is_explained_like_any_other(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann", timezone=None)
    it.decide(it.run(on(2)), on(2), "ann", "day30", "send", seen={"timezone": None, "email_consent": True})
    assert explain("ann").verdicts[0].seen == ["due on 2017-10-02", "consent to e-mail: yes"]


def test_an_unknown_campaign_is_an_error_that_names_the_known_ones(week: Story) -> None:
    with pytest.raises(WinbackError, match=r"no campaign 'summer'\. The run of that day knew: winback"):
        explain("ann", date(2017, 10, 2), "summer")


def test_before_any_run_it_says_so(reports: psycopg.Connection) -> None:
    Scenario(reports).contact("ann")
    with pytest.raises(WinbackError, match="No day was run yet"):
        explain("ann")


def test_ones_own_purchase_since_is_told_once_and_names_nobody(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.order("b", "ann", at(9, 12, month=9))
    seen = {
        "started_at": at(1, 12, month=9).isoformat(), "last_purchase_at": at(9, 12, month=9).isoformat(),
        "purchased_since_at": at(9, 12, month=9).isoformat(),
    }  # fmt: skip
    it.decide(it.run(on(2)), on(2), "ann", "day30", "skip", "purchased_since", seen=seen)
    assert explain("ann").verdicts[0].seen == [
        "due on 2017-10-02",
        "counted from: 2017-09-01 12:00 EDT",
        "bought since: 2017-09-09 12:00 EDT",
    ]


def test_a_step_after_an_event_names_the_event_and_not_a_second_clock(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    seen = {"started_at": at(1, 12).isoformat(), "last_purchase_at": at(1, 12, month=9).isoformat()}
    it.decide(it.run(on(4)), on(4), "ann", "day30_push", "send", seen=seen)
    told = explain("ann").verdicts[0].seen
    assert "day30 was opened: 2017-10-01 12:00 EDT" in told
    assert not [line for line in told if "clock" in line or "counted from" in line]


@pytest.mark.parametrize(
    ("step", "contact", "told"),
    [
        ("day60", {"phone": None}, ["what stands in the way: text (no phone number)"]),
        ("day60", {}, ["what stands in the way: text (no consent to texts)"]),
        ("day30", {}, []),
    ],
)
def test_texts_are_spoken_of_only_where_the_step_texts_and_there_is_a_phone(
    reports: psycopg.Connection, step: str, contact: dict[str, object], told: list[str]
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann", **contact)
    seen = {"sms_consent": False, "obstacles": {"sms": "no_reachable_channel", "webpush": "no_reachable_channel"}}
    it.decide(it.run(on(4)), on(4), "ann", step, "send", seen=seen)
    assert explain("ann").verdicts[0].seen == ["due on 2017-10-04", *told]


def test_messages_of_other_days_are_counted_beside_the_days_own(week: Story) -> None:
    told = explain("gus", date(2017, 10, 2))
    assert (told.messages, told.messages_of_day) == (1, 0)


def test_the_verb_shows_no_address_and_ends_with_one_line_of_json(week: Story) -> None:
    outcome = CliRunner().invoke(register(), ["explain", "cat", "--as-of", "2017-10-02"])
    assert outcome.exit_code == 0, outcome.output
    for secret in ("example.com", "+1212", "Hermenegildo"):
        assert secret not in outcome.stdout
    assert json.loads(outcome.stdout.strip().splitlines()[-1]) == {
        "as_of": "2017-10-02", "contact_id": "cat", "decisions": 1, "messages": 1, "messages_of_day": 1,
    }  # fmt: skip
