"""What every sender must do, whatever its vendor: the same cases for all of them."""

from __future__ import annotations

import logging
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from senders import contract
from senders.contract import Message, NotSent, Outcome, OutcomeKind
from tests.contract.providers import CLOCK, NAME, Provider, message
from warehouse.errors import Misconfigured


def some(provider: Provider, count: int = 9) -> list[Message]:
    return [message(number, provider.channel) for number in range(count)]


def kinds(outcomes: dict[object, Outcome]) -> Counter[OutcomeKind]:
    return Counter(outcome.kind for outcome in outcomes.values())


def send(provider: Provider, messages: list[Message]) -> dict[object, Outcome]:
    outcomes = dict(provider.sender().send(messages))
    assert set(outcomes) == {one.message_id for one in messages}, "one outcome each, no more and no less"
    return outcomes


def test_everything_that_is_taken_is_accepted_and_sent_once(provider: Provider) -> None:
    messages = some(provider)
    outcomes = send(provider, messages)
    assert kinds(outcomes) == {OutcomeKind.ACCEPTED: 9}
    assert sorted(provider.taken) == sorted(one.message_id for one in messages)
    assert all(outcome.provider_message_id for outcome in outcomes.values())


def test_nothing_to_send_is_no_call(provider: Provider) -> None:
    assert send(provider, []) == {}
    assert provider.asked == []


def test_one_bad_recipient_is_rejected_and_the_others_are_accepted_once(provider: Provider) -> None:
    provider.behaves("refuses", bad=5)
    messages = some(provider)
    outcomes = send(provider, messages)
    assert outcomes[messages[5].message_id].kind is OutcomeKind.REJECTED
    assert kinds(outcomes) == {OutcomeKind.ACCEPTED: 8, OutcomeKind.REJECTED: 1}
    assert sorted(provider.taken) == sorted(one.message_id for one in messages if one is not messages[5])


def test_a_lone_bad_recipient_is_rejected(provider: Provider) -> None:
    provider.behaves("refuses", bad=0)
    assert kinds(send(provider, some(provider, 1))) == {OutcomeKind.REJECTED: 1}


@pytest.mark.parametrize("how", ["throttles", "throttles_until"])
def test_a_throttling_provider_means_not_sent_and_how_long_to_wait(provider: Provider, how: str) -> None:
    provider.behaves(how)
    outcomes = send(provider, some(provider))
    assert kinds(outcomes) == {OutcomeKind.NOT_SENT: 9}
    assert all(asks_for_seventy_seconds(outcome) for outcome in outcomes.values())


def asks_for_seventy_seconds(outcome: Outcome) -> bool:
    """Or for what is left of them, a busy machine's minute taken off."""
    return outcome.retry_after is not None and timedelta(seconds=10) < outcome.retry_after <= timedelta(seconds=70)


def test_a_provider_that_fails_and_asks_to_wait_is_left_alone(provider: Provider) -> None:
    provider.behaves("is_busy")
    outcomes = send(provider, some(provider))
    assert kinds(outcomes).keys() <= {OutcomeKind.UNKNOWN, OutcomeKind.NOT_SENT}
    assert kinds(outcomes)[OutcomeKind.UNKNOWN] >= 1, "503 proves nothing about what was handed over"
    assert all(asks_for_seventy_seconds(outcome) for outcome in outcomes.values())


def test_a_provider_that_cannot_be_reached_means_not_sent(provider: Provider) -> None:
    provider.behaves("is_down")
    outcomes = send(provider, some(provider))
    assert kinds(outcomes) == {OutcomeKind.NOT_SENT: 9}
    assert {outcome.error_code for outcome in outcomes.values()} == {"unreachable"}


@pytest.mark.parametrize("how", ["fails", "hangs", "resets", "talks_nonsense"])
def test_an_answer_that_proves_nothing_means_unknown_and_is_not_repeated(provider: Provider, how: str) -> None:
    provider.behaves(how)
    outcomes = send(provider, some(provider, 3))
    assert kinds(outcomes) == {OutcomeKind.UNKNOWN: 3}
    assert all(outcome.error_code for outcome in outcomes.values())
    assert max(Counter(provider.asked).values()) == 1


@pytest.mark.parametrize("how", ["takes_and_drops", "cuts"])
def test_taken_and_then_dropped_means_unknown_and_is_not_repeated(provider: Provider, how: str) -> None:
    provider.behaves(how)
    messages = some(provider, 3)
    assert kinds(send(provider, messages)) == {OutcomeKind.UNKNOWN: 3}
    assert sorted(provider.taken) == sorted(one.message_id for one in messages)


def test_refused_credentials_stop_everything_before_anything_has_left(provider: Provider) -> None:
    provider.behaves("refuses_us")
    with pytest.raises(Misconfigured):
        provider.sender().send(some(provider))
    assert provider.taken == []


def test_one_address_twice_in_a_batch_gets_both_messages(provider: Provider) -> None:
    first, second = some(provider, 2)
    second = replace(second, recipient=first.recipient)
    assert kinds(send(provider, [first, second])) == {OutcomeKind.ACCEPTED: 2}
    assert len(provider.taken) == 2


def test_a_message_whose_time_is_over_is_not_sent(provider: Provider) -> None:
    late, good = some(provider, 2)
    late = replace(late, deliver_before=CLOCK)
    outcomes = send(provider, [late, good])
    assert (outcomes[late.message_id].kind, outcomes[late.message_id].error_code) == (OutcomeKind.NOT_SENT, "too_late")
    assert outcomes[good.message_id].kind is OutcomeKind.ACCEPTED
    assert provider.asked == [good.message_id]


def test_what_may_not_go_any_more_is_kept_back_and_everything_that_had_begun_is_told(provider: Provider) -> None:
    provider.one_by_one()
    held = NotSent("The process was told to stop.", timedelta(), code="stopped")
    messages = [replace(each, why_not=lambda: held if len(provider.asked) >= 3 else None) for each in some(provider, 6)]
    ids = [each.message_id for each in messages]
    outcomes = send(provider, messages)
    assert provider.asked == provider.taken == ids[:3]
    assert [outcomes[key].kind for key in ids[:3]] == [OutcomeKind.ACCEPTED] * 3
    assert {(outcomes[key].kind, outcomes[key].error_code) for key in ids[3:]} == {(OutcomeKind.NOT_SENT, "stopped")}


def takes_ten_seconds_a_call(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call takes ten seconds by the machine's clock, which is the test's."""
    passed = [0.0]
    monkeypatch.setattr(contract, "elapsed", lambda: passed[0])

    def wait() -> None:
        passed[0] += 10

    provider.meanwhile = wait
    provider.one_by_one()


def test_behind_slow_answers_nothing_is_handed_over_after_its_time(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes_ten_seconds_a_call(provider, monkeypatch)
    soon, plenty = CLOCK + timedelta(seconds=30), CLOCK + timedelta(hours=3)
    messages = [
        replace(one, clock_read_at=0.0, deliver_before=plenty if number == 5 else soon)
        for number, one in enumerate(some(provider, 6))
    ]
    ids = [one.message_id for one in messages]
    outcomes = send(provider, messages)
    assert provider.asked == provider.taken == [*ids[:3], ids[5]]
    assert {(outcomes[key].kind, outcomes[key].error_code) for key in ids[3:5]} == {(OutcomeKind.NOT_SENT, "too_late")}


def test_a_simulated_clock_stands_still_however_slow_the_answers_are(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes_ten_seconds_a_call(provider, monkeypatch)
    messages = [replace(one, deliver_before=CLOCK + timedelta(seconds=30)) for one in some(provider, 6)]
    assert kinds(send(provider, messages)) == {OutcomeKind.ACCEPTED: 6}


def test_a_message_with_a_hole_is_rejected_by_the_name_of_the_variable(provider: Provider) -> None:
    holed, good = some(provider, 2)
    holed = replace(holed, fields={**holed.fields, "first_name": " "})
    outcomes = send(provider, [holed, good])
    assert outcomes[holed.message_id].kind is OutcomeKind.REJECTED
    assert "first_name" in outcomes[holed.message_id].detail
    assert provider.asked == [good.message_id]


def test_a_message_without_an_address_is_rejected(provider: Provider) -> None:
    nowhere, good = some(provider, 2)
    nowhere = replace(nowhere, recipient=type(nowhere.recipient)())
    outcomes = send(provider, [nowhere, good])
    assert (outcomes[nowhere.message_id].kind, outcomes[nowhere.message_id].error_code) == (
        OutcomeKind.REJECTED,
        "no_address",
    )
    assert provider.asked == [good.message_id]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_every_message_has_one_outcome_and_accepted_means_taken_once(
    provider: Provider, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311
    for _ in range(4):
        provider.behaves(dice.choice(["accepts", "throttles", "fails", "resets", "takes_and_drops", "refuses"]), bad=3)
        provider.taken.clear()
        outcomes = send(provider, some(provider, dice.randint(1, 9)))
        accepted = {key for key, outcome in outcomes.items() if outcome.kind is OutcomeKind.ACCEPTED}
        doubtful = {key for key, outcome in outcomes.items() if outcome.kind is OutcomeKind.UNKNOWN}
        assert Counter(provider.taken) == Counter(set(provider.taken)), "nobody gets it twice"
        assert accepted <= set(provider.taken) <= accepted | doubtful


@pytest.mark.parametrize(
    "how",
    [
        *("accepts", "refuses", "throttles", "fails", "resets", "takes_and_drops", "talks_nonsense", "refuses_us"),
        "garbles",
    ],
)
def test_nothing_personal_and_no_secret_is_logged_or_shown(
    provider: Provider, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.behaves(how, bad=1)
    messages = some(provider, 4)
    try:
        shown = repr(dict(provider.sender().send(messages)))
    except Misconfigured as error:
        shown = repr(error)
    shown += repr(messages) + caplog.text + repr(provider.sender())
    for secret in ("example.com", "2025550", "push.example.net", NAME, *provider.secrets):
        assert secret.lower() not in shown.lower().replace("events.example.com", "")
