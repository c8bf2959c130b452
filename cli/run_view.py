"""What a person sees of a run: one line a task while Airflow's full log goes to a file, errors in full."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from cli import words
from local.airflow_days import MARK

_TASK = re.compile(r"\[DAG TEST\] (starting|end task) task_id=(\S+) map_index=(-?\d+)")
_SAID = re.compile(r"^\S+ \[\w+ *\] (.*?) +\[airflow\.task\.operators\.\S*WinbackOperator\] loc=")
_STATE = re.compile(r" new_state=(\w+)")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\S+ \[")
_RAISED = re.compile(r"^[A-Za-z_][\w.]*: (.*)")
_PAGE = re.compile(r'"index": "([^"]+)"')
_QUOTED_LINES = 40
_SHARDS = re.compile(r'"shards": \[([^\]]*)\]')
_ENDED = re.compile(r"`winback \w+` ended with exit code (\d+)\. (?:winback: )?(.*)", re.DOTALL)


class View:
    """Takes the log of `local.airflow_days` line by line. On a terminal the running task's last words show in place."""

    def __init__(self, out: TextIO, log: Path, days: Sequence[str]) -> None:
        self._out, self._log, self._days = out, log, days
        self._live = out.isatty()
        self._done: list[str] = []
        self._shards = 0
        self.code = 0
        """The exit code of the first verb that failed; 0 where none did."""
        self._day_began = self._task_began = time.monotonic()
        self._task, self._state, self._result, self._page = "", "", "", ""
        self._failure: list[str] | None = None
        self._tail: deque[str] = deque(maxlen=_QUOTED_LINES)
        self._print(f"Airflow is starting; its full log is {log}")
        self._print(self._days[0])

    def see(self, line: str) -> None:
        """One line of the log."""
        self._tail.append(line)
        if line.startswith(MARK):
            self._end_day(json.loads(line.removeprefix(MARK)))
        elif task := _TASK.search(line):
            self._begin(task[2], int(task[3])) if task[1] == "starting" else self._end()
        elif said := _SAID.match(line):
            self._result = said[1]
            if split := _SHARDS.search(said[1]):
                self._shards = split[1].count(",") + 1
            if page := _PAGE.search(said[1]):
                self._page = page[1]
            self._show(f"  {self._task:<12} {said[1]}")
        elif state := _STATE.search(line):
            self._state = state[1]
        elif "] Task failed with exception" in line:
            self._failure = []
        if self._failure is not None and not _STAMP.match(line):
            self._failure.append(line)

    def close(self, code: int) -> None:
        """After the last line: what was not run, and where to look."""
        self._show("")
        if not self._done:
            self._print("Airflow ended before the day was through. Its last words:\n  " + "\n  ".join(self._tail))
        elif left := self._days[len(self._done) :]:
            self._print(f"Not run: {', '.join(left)} (--keep-going goes on after a failed day).")
        if self._page:
            self._print(f"The report: {self._page}")
        if code:
            self._print(f"Failed. The full log: {self._log}")

    def _begin(self, task_id: str, map_index: int) -> None:
        self._task = task_id if map_index < 0 or self._shards == 1 else f"{task_id} {map_index + 1}"
        self._task_began = time.monotonic()
        self._state, self._result, self._failure = "", "", None
        self._show(f"  {self._task:<12} ...")

    def _end(self) -> None:
        seconds = time.monotonic() - self._task_began
        said = "" if self._failure is not None else _numbers(self._result)
        state = "" if self._state == "success" else f"  {self._state}"
        self._print(f"  {self._task:<12} {seconds:5.1f} s{state}  {said}".rstrip())
        if self._failure:
            raised = [number for number, line in enumerate(self._failure) if _RAISED.match(line)]
            told = self._failure[raised[-1] if raised else 0 :]
            text = "\n".join([_RAISED.sub(r"\1", told[0]) if raised else told[0], *told[1:]])
            if ended := _ENDED.match(text):
                self.code = self.code or int(ended[1])
                text = ended[2]
            for line in text.splitlines():
                self._print("      " + line)
        self._failure = None

    def _end_day(self, outcome: Mapping[str, Any]) -> None:
        now = time.monotonic()
        self._done.append(outcome["as_of"])
        left = [task["task_id"] for task in outcome["tasks"] if task["state"] in (None, "skipped", "upstream_failed")]
        missing = f"; not run: {', '.join(left)}" if left else ""
        self._print(f"  {outcome['state']} in {now - self._day_began:.0f} s{missing}")
        self._day_began = now
        if outcome["state"] == "success" and len(self._done) < len(self._days):
            self._print(self._days[len(self._done)])

    def _show(self, text: str) -> None:
        if self._live:
            self._out.write("\r\x1b[2K" + text[:110])
            self._out.flush()

    def _print(self, text: str) -> None:
        self._show("")
        self._out.write(text + "\n")
        self._out.flush()


def _numbers(result: str) -> str:
    """What a verb's line of JSON says to a reader."""
    try:
        values = json.loads(result)
    except ValueError:
        return ""
    return words.result(values) if isinstance(values, dict) else ""
