"""How a text is cut into segments: 160 or 153 septets of 3GPP TS 23.038's alphabet, or 70 or 67 UCS-2 code units."""

from __future__ import annotations

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("^{}\\[~]|€\f")


def encoding(text: str) -> str:
    """`GSM-7` or `UCS-2`."""
    return "GSM-7" if all(character in BASIC or character in EXTENDED for character in text) else "UCS-2"


def segments(text: str) -> int:
    """How many segments a text takes; an empty one takes one."""
    if encoding(text) == "GSM-7":
        return _count([2 if character in EXTENDED else 1 for character in text], 160, 153)
    return _count([2 if ord(character) > 0xFFFF else 1 for character in text], 70, 67)


def _count(widths: list[int], single: int, part: int) -> int:
    if sum(widths) <= single:
        return 1
    count, room = 1, part
    for width in widths:  # a character is never split between two segments
        if width > room:
            count, room = count + 1, part
        room -= width
    return count
