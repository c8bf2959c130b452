"""Days as a person types them."""

from __future__ import annotations

from datetime import datetime

import typer


def day(text: str) -> datetime:
    """Midnight, without a zone, of a day such as 2026-11-22. Raises `typer.BadParameter` for anything else."""
    try:
        return datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007 - a day, not an instant
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; write YYYY-MM-DD, such as 2026-11-22.") from None
