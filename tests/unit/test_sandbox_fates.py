"""The sandbox's dice and its counting of segments."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local.sandbox import gsm
from local.sandbox.fates import Habits
from local.sandbox.sendgrid import clickable, substitute

NOON = datetime(2017, 10, 1, 16, tzinfo=UTC).timestamp()
DAY = 86400


def test_a_fate_is_the_same_whenever_it_is_asked_for() -> None:
    assert Habits().of("email", "a@example.com", NOON).email() == Habits().of("email", "a@example.com", NOON).email()


def test_another_seed_another_day_and_another_person_have_other_fates() -> None:
    def opened(seed: int, prefix: str, at: float) -> list[bool]:
        habits = Habits(seed=seed)
        fates = [habits.of("email", f"{prefix}{number}@example.com", at).email() for number in range(200)]
        return [any(kind == "open" for kind, _ in fate) for fate in fates]

    base = opened(1, "a", NOON)
    assert all(other != base for other in (opened(2, "a", NOON), opened(1, "b", NOON), opened(1, "a", NOON + DAY)))


def test_who_bounces_bounces_every_day() -> None:
    habits = Habits(rates={"email": {**Habits().rates["email"], "bounced": 0.5}})

    def bounced(at: float) -> set[int]:
        return {
            number
            for number in range(200)
            if habits.of("email", f"a{number}@example.com", at).email()[-1][0] == "bounce"
        }

    assert 60 < len(bounced(NOON)) < 140
    assert bounced(NOON) == bounced(NOON + DAY)


def test_every_click_follows_an_open_and_every_open_a_delivery() -> None:
    for number in range(2000):
        fate = dict(Habits().of("email", f"a{number}@example.com", NOON).email())
        if "click" in fate:
            assert fate["click"] > fate["open"]
        for kind in ("open", "machine_open"):
            if kind in fate:
                assert fate[kind] > fate["delivered"]


@pytest.mark.parametrize(
    ("text", "encoding", "segments"),
    [
        ("", "GSM-7", 1),
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        ("€" * 80, "GSM-7", 1),
        ("a" * 152 + "€" + "a" * 10, "GSM-7", 2),
        ("ê" * 70, "UCS-2", 1),
        ("ê" * 71, "UCS-2", 2),
        ("😀" * 35, "UCS-2", 1),
        ("😀" * 36, "UCS-2", 2),
        ("😀" * 67, "UCS-2", 3),
    ],
)
def test_segments_are_counted_without_splitting_a_character(text: str, encoding: str, segments: int) -> None:
    assert (gsm.encoding(text), gsm.segments(text)) == (encoding, segments)


def test_substitutions_replace_the_longest_tag_and_are_not_replaced_again() -> None:
    assert substitute("-a-b- -a- -x-", {"-a-": "-x-", "-a-b-": "2", "-x-": "3"}) == "2 -x- 3"


def test_a_reader_follows_links_but_not_those_that_leave() -> None:
    content = [
        {"type": "text/plain", "value": "https://shop.example.com/plain"},
        {"type": "text/html", "value": '<a href="-u-">a</a> <a href="https://x.example.com/unsubscribe/t">b</a>'},
    ]
    assert clickable(content, {"-u-": "https://shop.example.com/?a=1&amp;b=2"}) == ["https://shop.example.com/?a=1&b=2"]
    assert clickable(content[:1], {}) == ["https://shop.example.com/plain"]
