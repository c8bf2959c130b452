"""Days as a person types them."""

from __future__ import annotations

from datetime import datetime

import typer

EARLIEST, LATEST = 1970, 2999
"""Years of the days that can be asked for."""


def day(text: str) -> datetime:
    """Midnight, without a zone, of a day such as 2026-11-22. Raises `typer.BadParameter` for anything else, and for a
    day that no shop has: there is room around every other one for zones and weeks."""
    try:
        found = datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007 - a day, not an instant
    except ValueError:
        found = None
    if found is None or not EARLIEST <= found.year <= LATEST:
        raise typer.BadParameter(f"{text!r} is no day; write YYYY-MM-DD, such as 2026-11-22.")
    return found
