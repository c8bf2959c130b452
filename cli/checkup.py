"""A check-up: many questions asked side by side, each with an end, so that what does not answer hides nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from senders.contract import SendError
from warehouse.errors import Misconfigured, WinbackError


class Status(StrEnum):
    """What became of one question."""

    OK = "ok"
    WARNING = "warning"  # it works, or works without; somebody should know
    FAILED = "failed"  # do not go live


@dataclass(frozen=True)
class Line:
    """One answer. Holds no secret and nobody's address."""

    status: Status
    subject: str
    words: str
    advice: str = ""


Check = Callable[[], Iterable[Line]]


def ok(subject: str, words: str) -> Line:
    """All is well."""
    return Line(Status.OK, subject, words)


def warning(subject: str, words: str, advice: str = "") -> Line:
    """Worth knowing."""
    return Line(Status.WARNING, subject, words, advice)


def failed(subject: str, words: str, advice: str = "") -> Line:
    """To be mended first."""
    return Line(Status.FAILED, subject, words, advice)


def ask(checks: Mapping[str, Check], seconds: float) -> Iterator[Line]:
    """The answers of all checks, in their order; each has `seconds` from now, and what it said by then counts.

    What a check raises is an answer, too: `WinbackError`, `Misconfigured` and `SendError` in their own words, anything
    else by its name alone, for its words might hold a secret.
    """
    began = time.monotonic()
    running = [_Running(subject, check) for subject, check in checks.items()]
    for each in running:
        each.thread.join(max(0.0, began + seconds - time.monotonic()))
        late = each.thread.is_alive()
        yield from list(each.lines)
        if late:
            yield failed(
                each.subject, f"no answer within {seconds:.0f} seconds", "See that it can be reached from this machine."
            )


class _Running:
    """One check in a thread of its own, which does not keep the process from ending."""

    def __init__(self, subject: str, check: Check) -> None:
        self.subject, self.lines = subject, list[Line]()
        self.thread = threading.Thread(target=self._run, args=[check], daemon=True)
        self.thread.start()

    def _run(self, check: Check) -> None:
        try:
            for line in check():
                self.lines.append(line)
        except (WinbackError, Misconfigured, SendError) as error:
            self.lines.append(failed(self.subject, " ".join(str(error).split())))
        except Exception as error:  # noqa: BLE001 - whatever broke is this line's answer, and hides no other line
            self.lines.append(
                failed(self.subject, f"the check itself broke ({type(error).__name__})", "Please report it.")
            )
