"""What a text costs, at every border."""

from __future__ import annotations

import pytest

from senders.segments import measure


@pytest.mark.parametrize(
    ("text", "encoding", "segments", "characters"),
    [
        ("", "GSM-7", 0, 0),
        ("a" * 160, "GSM-7", 1, 160),
        ("a" * 161, "GSM-7", 2, 161),
        ("a" * 306, "GSM-7", 2, 306),
        ("a" * 307, "GSM-7", 3, 307),
        ("€" * 80, "GSM-7", 1, 80),
        ("€" * 81, "GSM-7", 2, 81),
        ("é" * 160, "GSM-7", 1, 160),
        ("ç" * 70, "UCS-2", 1, 70),  # the alphabet has Ç and no ç
        ("’" + "a" * 69, "UCS-2", 1, 70),
        ("’" + "a" * 70, "UCS-2", 2, 71),
        ("’" + "a" * 133, "UCS-2", 2, 134),
        ("’" + "a" * 134, "UCS-2", 3, 135),
        ("🎉" * 35, "UCS-2", 1, 35),
        ("🎉" * 36, "UCS-2", 2, 36),
    ],
)
def test_a_text_costs(text: str, encoding: str, segments: int, characters: int) -> None:
    found = measure(text)
    assert (found.encoding, found.segments, found.characters) == (encoding, segments, characters)


def test_an_escape_pair_is_not_split_between_segments() -> None:
    # 152 septets, then a pair that does not fit any more: 152 + (2 + 151) + 1 needs a third segment.
    assert measure("a" * 152 + "€" + "a" * 151).segments == 2
    assert measure("a" * 152 + "€" + "a" * 152).segments == 3
    assert measure("a" * 153 + "€" + "a" * 151).segments == 2


def test_a_surrogate_pair_is_not_split_between_segments() -> None:
    assert measure("a" * 66 + "🎉" + "a" * 65).segments == 2
    assert measure("a" * 66 + "🎉" + "a" * 66).segments == 3
