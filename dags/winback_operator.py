"""The one operator that the DAGs are made of: it runs a `winback` verb in a process of its own.

`WINBACK_COMMAND` says how the command is called (default: the `winback` beside Airflow's Python), so Winback can live
in another environment or image than Airflow. Whatever a task does can be typed into a shell.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Connection

try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
except ImportError:  # Airflow before 3.2
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException

CONNECTIONS = ("warehouse_default", "sendgrid_default", "twilio_default", "webpush_default", "alerts")
"""Handed to the process as `AIRFLOW_CONN_<ID>` where Airflow has them; nothing of them is rendered or logged."""
NOT_YET = 75
"""The exit code (EX_TEMPFAIL) of a verb that has to wait: it may use all the task's retries."""
ERROR_RETRIES = 3
"""How often any other error is tried again: a typo does not mend itself in six hours."""
GRACE_SECONDS = 20
"""Between SIGTERM and SIGKILL."""
QUOTED_LINES = 20
"""How much of a verb's last output an error repeats."""

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class WinbackOperator(BaseOperator):
    """Runs `winback <arguments>`; the last line of JSON it prints becomes XCom, one for each of its keys.

    `arguments`: the verb and its options, templated; those that render to nothing are left out.
    `shard`: `i/n`, added as `--shard i/n`; a field of its own so that a task can be mapped over it.
    `returns`: the key whose value is the task's return value (a list to map the next task over); default: all of it.

    Fails with the verb's own words. With `WINBACK_RETRIES=0` (a person at a terminal) nothing is tried again.
    """

    template_fields: Sequence[str] = ("arguments", "shard")
    ui_color = "#f2e6d8"

    def __init__(
        self, *, arguments: Sequence[str], shard: str | None = None, returns: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.arguments = list(arguments)
        self.shard = shard
        self.returns = returns
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Runs the verb to its end. Returns ids and counts, never people."""
        arguments = [text for text in map(str, self.arguments) if text.strip()]
        arguments += ["--shard", self.shard] if self.shard else []
        lines: list[str] = []
        try:
            self._process = self._start(arguments)
            for line in self._process.stdout or ():
                lines.append(line.rstrip())
                self.log.info("%s", lines[-1])
            code = self._process.wait()
        finally:
            self.on_kill()
        if code:
            self._fail(arguments[0], code, lines, context["ti"].try_number)
        result = self._result(arguments[0], lines)
        for key, value in result.items():
            context["ti"].xcom_push(key, value)
        return result[self.returns] if self.returns else result

    def on_kill(self) -> None:
        """Ends the verb and everything it started: asked first, then killed."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        command = shlex.split(os.environ.get("WINBACK_COMMAND") or str(Path(sys.executable).with_name("winback")))
        # Airflow's own configuration, its metadata's password included, is none of a verb's business.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
        environment |= {"PYTHONUNBUFFERED": "1", **_connections()}
        self.log.info("winback %s", shlex.join(arguments))
        return subprocess.Popen(
            [*command, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_die_with_parent if _LIBC else None,  # noqa: PLW1509 - one system call, nothing that locks
        )

    def _fail(self, verb: str, code: int, lines: Sequence[str], attempt: int) -> None:
        begins = [number for number, line in enumerate(lines) if line.startswith("winback: ")]
        words = "\n".join(lines[begins[-1] :] if begins else lines[-QUOTED_LINES:]) or "it said nothing"
        text = f"`winback {verb}` ended with exit code {code}. {words}"
        if os.environ.get("WINBACK_RETRIES") == "0" or (code != NOT_YET and attempt > ERROR_RETRIES):
            raise AirflowFailException(text)
        raise AirflowException(text)

    def _result(self, verb: str, lines: Sequence[str]) -> dict[str, Any]:
        try:
            result = json.loads(lines[-1])
        except (IndexError, ValueError):
            result = None
        if not isinstance(result, dict):
            raise AirflowFailException(
                f"`winback {verb}` ended well, but its last line is no JSON object. Does WINBACK_COMMAND "
                "start Winback itself, with nothing printed after it?"
            )
        return result


def _connections() -> dict[str, str]:
    found = {}
    for conn_id in CONNECTIONS:
        try:
            it = Connection.get(conn_id)
        except AirflowNotFoundException:
            continue
        document = {
            field: getattr(it, field)
            for field in ("conn_type", "host", "login", "password", "schema", "port", "extra")
            if getattr(it, field, None) is not None
        }
        found[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(document)
    return found


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended in the meantime
        os.killpg(process.pid, number)


def _die_with_parent() -> None:
    """Linux: a verb whose task was killed outright is told to end, too (PR_SET_PDEATHSIG)."""
    if _LIBC:
        _LIBC.prctl(1, signal.SIGTERM)
