"""What a text message costs: its encoding and segments, computed before it is sent (3GPP TS 23.038, 23.040).

160 septets fit one GSM-7 message and 153 each of several, because a header joins them; with one character outside the
alphabet the whole text becomes UCS-2: 70 UTF-16 units, or 67 each. No escape pair and no surrogate pair is split.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GSM_7, UCS_2 = "GSM-7", "UCS-2"

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
"""Each of these is an escape and a second septet."""


@dataclass(frozen=True)
class Measure:
    """What one text costs."""

    encoding: str
    """`GSM-7` or `UCS-2`."""
    segments: int
    """What the carrier bills; 0 for an empty text."""
    characters: int
    """As a person counts them."""


def measure(text: str) -> Measure:
    """The encoding and segments of `text`."""
    if all(character in BASIC or character in EXTENSION for character in text):
        sizes = [2 if character in EXTENSION else 1 for character in text]
        return Measure(GSM_7, _segments(sizes, alone=160, joined=153), len(text))
    sizes = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return Measure(UCS_2, _segments(sizes, alone=70, joined=67), len(text))


def _segments(sizes: Iterable[int], *, alone: int, joined: int) -> int:
    sizes = list(sizes)
    if sum(sizes) <= alone:
        return 1 if sizes else 0
    count, used = 1, 0
    for size in sizes:
        if used + size > joined:
            count, used = count + 1, 0
        used += size
    return count
