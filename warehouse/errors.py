"""The errors a person reads: what was found, where, what to do, and what happened to the data."""

from __future__ import annotations

import csv
from pathlib import Path

NOT_YET = 75
"""Exit code EX_TEMPFAIL of sysexits.h: an Airflow task that ends with it may use all its retries."""


class WinbackError(Exception):
    """Something a user can mend. The message names the file or table, the row or key, and the next step.

    The command prints it without a traceback and exits with its `exit_code`.
    """

    exit_code = 1


def unreadable(path: Path, error: OSError | UnicodeDecodeError | csv.Error, nothing: str) -> WinbackError:
    """Why a CSV file could not be read, without a word of what it holds; `nothing` tells what did not happen."""
    if isinstance(error, OSError):
        return WinbackError(f"{path} cannot be read: {error.strerror or type(error).__name__}. {nothing}")
    what = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "its quotes or line ends are broken"
    return WinbackError(f"{path} cannot be read as CSV in UTF-8: {what}. {nothing}")


class TryLater(WinbackError):  # noqa: N818 - what to do about it
    """The same call may do later, as it is; whatever it did not do is still waiting to be done."""

    exit_code = NOT_YET


class Misconfigured(Exception):  # noqa: N818 - the name is part of the senders' vocabulary
    """Credentials, addresses or settings are missing or wrong.

    Stands outside `WinbackError` and `senders.contract.SendError` on purpose, so that no handler that
    means "this one message failed" swallows it. Nothing was claimed and nothing was sent.
    """
