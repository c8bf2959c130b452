"""Coupon codes: made up for the sample, generated for a pool, or read from a marketer's CSV file."""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

import psycopg
from psycopg import sql

from local.seed import digest
from warehouse.errors import WinbackError, unreadable

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""No 0 and O, no 1, I and L: codes are read aloud and typed."""
LENGTH = 8
MOST = 10_000_000
TOLD = 5
"""How many of a file's mistakes are told one by one."""
_SHAPE, _DIGIT = re.compile(r"[A-Za-z0-9_-]{4,40}"), re.compile(r"\d")
HEADER = "code"
"""What the column of the codes is called, in any case."""
_NAMES = re.compile(
    r"(?:(?:coupon|promo|promotion|discount|voucher|gift|offer|unique|gutschein|rabatt)[ _-]?)?codes?"
    r"|coupons?|vouchers?|promos?|promotions?|discounts?|gutscheine?|gutscheincodes?|rabattcodes?|id|number|value",
    re.IGNORECASE,
)
"""What such a column is called elsewhere. No code is, and were it taken for one, somebody would be given it."""


_END = re.compile(
    r"expir|valid|until|redeem(?:able)?.?(?:by|before|through|till)|redemption.?date|use.?by|best.?before|deadline"
    r"|enddat|g[uü]ltig|ablauf|l[aä]uft|(?:^|[\W_])(?:ends?|bis)(?:$|[\W_])",
    re.IGNORECASE,
)
"""A column that says when codes end: left unread, customers would be given codes that a shop refuses."""


def prefix(promotion: str) -> str:
    """What a promotion's generated codes begin with: `winback_discount10` -> `BACK10`."""
    digits = re.search(r"\d+$", promotion)
    return f"BACK{digits[0]}" if digits else "BACK"


def sample_codes(promotion: str, count: int) -> Iterator[str]:
    """The first `count` codes of the sample for this promotion; more of them begin with the same ones."""
    for number in range(count):
        value = int.from_bytes(digest("code", promotion, number)[:16], "big")
        yield f"{prefix(promotion)}-{_letters(value)}"


def generate(promotion: str, count: int) -> list[str]:
    """`count` different codes that nobody can guess."""
    made: set[str] = set()
    while len(made) < count:
        made.add(f"{prefix(promotion)}-{''.join(secrets.choice(ALPHABET) for _ in range(LENGTH))}")
    return sorted(made)


def _letters(value: int) -> str:
    letters = ""
    for _ in range(LENGTH):
        value, position = divmod(value, len(ALPHABET))
        letters += ALPHABET[position]
    return letters


def read_csv(path: Path) -> list[str]:
    """The codes of a CSV file (with commas, semicolons or tabs): its column `code`, or the only one where no line is a
    header. Blank lines do not count.

    Raises `WinbackError` where it is not clear which column holds the codes, and naming the first `TOLD` lines with a
    code that is there twice, empty, a header's word, or not 4 to 40 letters, digits, - and _.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=_delimiter(file))
            rows = [(number, row) for number, row in _numbered(reader) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error, "No code was loaded.") from error
    column = 0
    if rows and HEADER in (header := [cell.strip().lower() for cell in rows[0][1]]):
        if ends := next(filter(_END.search, header), None):
            raise WinbackError(
                f"{path}, line {rows[0][0]}: the column {ends!r} looks like the end of each code, and ends are not "
                "read from a file: give --expires-at, one for all codes of a file, and take the column out. No code "
                "was loaded."
            )
        column = header.index(HEADER)
        rows = rows[1:]
    elif rows:
        _refuse_guesses(path, rows)
    if not rows:
        raise WinbackError(
            f"{path} holds no code. Expected one code a line, or a column named `code`. Nothing was loaded."
        )
    first_line: dict[str, int] = {}
    mistakes: list[str] = []
    for number, row in rows:
        code = row[column].strip() if column < len(row) else ""
        again = f"already on line {first_line[code]}" if code and code in first_line else ""
        if code.lower() == HEADER:
            mistakes.append(f"{path}, line {number}: {code!r} is the name of a column, which belongs on the first line")
        elif not _SHAPE.fullmatch(code):
            what = f"{code!r} is not a code (4 to 40 letters, digits, - and _)"
            mistakes.append(f"{path}, line {number}: {what}{f', and {again}' if again else ''}")
        elif again:
            mistakes.append(f"{path}, line {number}: the code {code!r} is {again}")
        first_line.setdefault(code, number)
    if mistakes:
        raise WinbackError(_told(mistakes))
    return list(first_line)


def _delimiter(file: TextIO) -> str:
    """The mark by which the first line that is not blank has a column `code`, or that it holds at all; the file is at
    its beginning again."""
    first = next((line for line in file if line.strip()), "")
    file.seek(0)
    held = [mark for mark in ",;\t" if mark in first]
    for mark in held:
        if HEADER in (cell.strip().lower() for cell in next(csv.reader([first], delimiter=mark))):
            return mark
    return held[0] if held else ","


def _refuse_guesses(path: Path, rows: Sequence[tuple[int, list[str]]]) -> None:
    """Raises `WinbackError` where something else could pass for codes: customers would be given it."""
    number, first = rows[0]
    if len(first) > 1:
        raise WinbackError(
            f"{path} has {len(first)} columns, and none of them is named {HEADER!r} on line {number}: name the one "
            "that holds the codes. No code was loaded."
        )
    word, others = first[0].strip(), [row[0].strip() for _, row in rows[1:] if row]
    with_digit = sum(1 for code in others if _DIGIT.search(code))
    lengths = {len(code) for code in others}
    if (
        _NAMES.fullmatch(word)
        or (others and not _DIGIT.search(word) and 2 * with_digit > len(others))
        or (len(others) > 1 and len(lengths) == 1 and all(map(_SHAPE.fullmatch, others)) and len(word) not in lengths)
    ):
        raise WinbackError(
            f"{path}, line {number}: {word!r} looks like the name of a column. If it is one, write {HEADER!r} in its "
            f"place; if it is a code, put a line with the word {HEADER!r} above it. No code was loaded."
        )


def _told(mistakes: Sequence[str]) -> str:
    """The first mistakes of a file, how many more there are, and what to do."""
    lines = list(mistakes[:TOLD])
    if (more := len(mistakes) - TOLD) > 0:
        lines.append(f"and {more:,} more {'line' if more == 1 else 'lines'} like these")
    what = "Correct the line" if len(mistakes) == 1 else "Correct the lines"
    return "\n".join(lines) + f"\n{what} (a code belongs to one person) and load the file again; no code was loaded."


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        yield reader.line_num, row  # type: ignore[attr-defined]


def add(
    connection: psycopg.Connection,
    promotion: str,
    codes: Sequence[str],
    *,
    loaded_at: datetime | None = None,
    expires_at: datetime | None = None,
    source: str = "the new codes",
    pool: tuple[str, str] = ("raw", "coupon_codes"),
) -> int:
    """Adds the codes to the promotion's pool and returns how many; the caller commits.

    `loaded_at`: None for the database's time. `pool`: schema and name of the table. Raises `WinbackError` naming a code
    that is in a pool already; then none is added.
    """
    connection.execute("create temporary table new_code (position integer, code text) on commit drop")
    with connection.cursor() as cursor, cursor.copy("copy new_code (position, code) from stdin") as copy:
        for position, code in enumerate(codes, start=1):
            copy.write_row((position, code))
    taken = connection.execute(
        sql.SQL(
            "select n.code, c.promotion, count(*) over () from new_code n join {} c using (code)"
            " order by n.position limit 1"
        ).format(sql.Identifier(*pool))
    ).fetchone()
    if taken:
        raise WinbackError(
            f"{source}: the code {taken[0]!r} is in the pool of {taken[1]} already ({taken[2]} such codes in all). "
            "A code belongs to one pool and one person: remove them and try again; no code was loaded."
        )
    connection.execute(
        sql.SQL(
            "insert into {} (promotion, code, expires_at, loaded_at)"
            " select %s, code, %s, coalesce(%s, clock_timestamp()) from new_code order by position"
        ).format(sql.Identifier(*pool)),
        [promotion, expires_at, loaded_at],
    )
    connection.execute("drop table new_code")
    return len(codes)
