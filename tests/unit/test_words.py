"""What the command says about numbers and codes."""

from __future__ import annotations

import pytest

from cli import words


@pytest.mark.parametrize(("count", "said"), [(0, "0 codes"), (1, "1 code"), (2500, "2,500 codes")])
def test_one_is_told_in_the_singular(count: int, said: str) -> None:
    assert words.counted(count, "code") == said


def test_a_dispatch_says_what_it_sent_by_channel_and_what_became_of_the_rest() -> None:
    now = {"email": {"accepted": 48, "skipped": 1}, "sms": {"accepted": 1}, "webpush": {"accepted": 2}}
    totals = {"accepted": 51, "skipped": 1, "in_doubt": 2, "swept": 3}
    assert words.sent(now, totals) == (
        "Sent now: 48 e-mails, 1 text and 2 web pushes; 1 stopped at the last moment; "
        "2 in doubt: may or may not have left, and is not sent again by itself."
    )


def test_a_dispatch_with_nothing_due_says_so() -> None:
    assert words.sent({}, {"reconciled": 2}) == "Nothing was due, so nothing was sent now."


def test_a_dispatch_that_could_send_nothing_says_why() -> None:
    assert words.sent({"email": {"rejected": 2}}, {"rejected": 2}) == (
        "Nothing was sent now; 2 refused by the provider."
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"as_of": "2017-10-01", "enqueued_before": False, "empty_tables": []}, ""),
        (
            {"enqueued_before": True},
            "this day was run before: what was decided, granted or sent stays, and nothing is done twice",
        ),
        ({"notices": {"accepted": 1}}, "1 alert sent to the team"),
        (
            {"notices": {"accepted": 1}, "alerts": ["No codes left for winback_discount10"]},
            "1 alert sent to the team; it says: No codes left for winback_discount10",
        ),
        ({"notices": {"planned": 2}}, "2 alerts not sent yet"),
        ({"request_count": 59, "held": [], "rules": 20}, "59 messages to check"),
        ({"request_count": 1, "held": ["winback"]}, "1 message to check; held back by the gate: winback"),
        (
            {"decisions": {"holdout": 6, "send": 59, "skip": 15}, "grants": 25, "messages": 1, "withheld": {}},
            "59 to be written to, 15 left out, 6 left alone to compare with; 25 codes set aside; 1 message planned",
        ),
        ({"decisions": {}, "messages": 0}, "nobody new was due"),
        (
            {"decisions": {"hold": 2}, "withheld": {"winback": "gate_failed"}},
            "2 put off; winback is held (gate failed)",
        ),
        (
            {"sent_now": {"sms": {"accepted": 1}}, "totals": {"accepted": 1}, "messages": {"accepted": 9}},
            "Sent now: 1 text",
        ),
        ({"pages": ["/r/x.html"], "people_reached": 1, "people_came_back": 0}, "1 person reached by this run"),
        ({"unreachable": ["email"]}, "could not be reached: email"),
        ({"put_off": {"email": 15}}, "15 e-mails waiting for a provider that could not be reached"),
        ({"pages": []}, "no page: this day has no run"),
    ],
)
def test_a_verbs_result_is_one_line_in_plain_words(values: dict[str, object], said: str) -> None:
    assert words.result(values) == said
