"""Product pictures: a coloured tile with a flat drawing, the same for a product every time: mails look whole offline.

The drawing goes by words of the product's name and category where the warehouse knows them, otherwise by its id.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import psycopg

from warehouse.connect import Role, connect
from warehouse.errors import Misconfigured, WinbackError

PALETTES = (
    # tile, body, shade, light, accent
    ("#e8efe4", "#5f8f6b", "#47704f", "#f7faf4", "#d98f4e"),
    ("#f6ead9", "#d08b4c", "#a96b34", "#fff8ee", "#7a9b76"),
    ("#e3ecf3", "#5b87ad", "#436a8c", "#f5f9fc", "#e0a458"),
    ("#f5e3df", "#c9695b", "#a24f43", "#fff6f3", "#6f9a8d"),
    ("#ece6f2", "#8a74ad", "#6c588d", "#faf7fd", "#e2a56b"),
    ("#f7f0d4", "#d9b13f", "#b08c28", "#fffbec", "#8f6b4a"),
    ("#dff0ee", "#4f9a93", "#3b7872", "#f2fbfa", "#e28a6a"),
    ("#f4e4ec", "#bf6f93", "#985373", "#fdf4f8", "#86a05d"),
)

DRAWINGS = Path(__file__).parent / "drawings"


@cache
def drawings() -> dict[str, str]:
    """The drawings by kind: SVG fragments in the colours --body, --shade, --light and --accent."""
    return {path.stem: path.read_text() for path in sorted(DRAWINGS.glob("*.svg"))}


@cache
def words_of_kinds() -> list[tuple[str, list[str]]]:
    """`words.txt`: kinds and their words, in order."""
    lines = [line for line in (DRAWINGS / "words.txt").read_text().splitlines() if not line.startswith("#")]
    return [(kind, words.split(", ")) for kind, _, words in (line.partition(": ") for line in lines)]


def kind_of(product_id: str, words: str = "") -> str:
    """Which drawing shows this product."""
    text = words.lower()
    for kind, known in words_of_kinds():
        if any(re.search(rf"\b{re.escape(word)}", text) for word in known):
            return kind
    return "bag" if words else list(drawings())[_number(product_id) % len(drawings())]


def svg(product_id: str, words: str = "") -> str:
    """The picture, 240 by 240."""
    kind = kind_of(product_id, words)
    tile, body, shade, light, accent = PALETTES[_number(words.rpartition("|")[2] or product_id) % len(PALETTES)]
    colours = f"--body:{body};--shade:{shade};--light:{light};--accent:{accent}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240" width="480" height="480" style="{colours}">'
        f'<rect width="240" height="240" fill="{tile}"/><circle cx="120" cy="120" r="92" fill="{light}" opacity=".55"/>'
        f'<ellipse cx="120" cy="196" rx="62" ry="8" fill="{shade}" opacity=".18"/>{drawings()[kind]}</svg>'
    )


_known: dict[str, str] = {}


def known_words(product_id: str) -> str:
    """`name|category` of a product in this process's warehouse; empty where it cannot be asked or does not know it."""
    if product_id not in _known:
        query = "select name || '|' || coalesce(category, '') from raw.products where product_id = %s"
        try:
            with connect(Role.DBT) as connection:
                row = connection.execute(query, (product_id,)).fetchone()
        except (psycopg.Error, WinbackError, Misconfigured):
            return ""  # a picture is no reason to fail: the product's id gives one too
        if not row or not row[0]:
            return ""
        _known[product_id] = str(row[0])
    return _known[product_id]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big")
