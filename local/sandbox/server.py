"""Starts, finds and stops the sandbox: its own process on a loopback port, kept for the next command.

One instance a warehouse (`.local/sandbox/<hash of its URL>`, 0700), for the webhook service it starts writes to that
warehouse. `ensure` is safe to call from many processes at once. `Sandbox` runs one inside a test.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from local.sandbox import keys
from warehouse import settings
from warehouse.errors import WinbackError

if TYPE_CHECKING:  # a client needs none of it, and each verb is a process that asks for the sandbox
    import uvicorn

    from local.sandbox.core import Core

START_SECONDS = 30.0
DRAIN_SECONDS = 120.0
PUSH_KEYS = "push_keys.json"


@dataclass
class Handle:
    """A running sandbox, as a client sees it."""

    url: str
    keys: keys.Keys
    events_url: str | None = None
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    @property
    def inbox_url(self) -> str:
        """Where a browser sees what was sent."""
        return f"{self.url}/inbox"

    def connections(self) -> dict[str, dict[str, Any]]:
        """The sandbox as Airflow connections, by connection id."""
        return keys.connections(self.keys, self.url, self.events_url)

    def set_clock(self, instant: datetime | None) -> None:
        """Moves the simulated clock (aware); None: real time again."""
        self._ask("PUT", "/control/clock", {"now": instant.isoformat() if instant else None})

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Waits until every webhook due by the sandbox's clock was taken.

        Raises `WinbackError` when that takes longer than `seconds`.
        """
        until = time.monotonic() + seconds
        while pending := self._ask("POST", "/control/drain?seconds=5")["pending"]:
            if time.monotonic() > until:
                raise WinbackError(
                    f"The webhook service at {self.events_url} did not take {pending} events of the sandbox within "
                    f"{seconds:.0f} s. They are kept and posted again. Its log: .local/sandbox/*/events.log"
                )

    def set_faults(self, *rules: Mapping[str, Any], seed: int = 1) -> None:
        """Puts these faults in place of all others; none: behaves again. Options: `local.sandbox.faults`."""
        self._ask("PUT", "/control/faults", {"faults": list(rules), "seed": seed})

    def add_fault(self, rule: Mapping[str, Any]) -> None:
        """Adds one fault to those in force. Raises `WinbackError` naming a wrong option."""
        self._ask("POST", "/control/faults", rule)

    def set_habits(self, **habits: Any) -> None:
        """Changes `seed`, `rates` (by channel), `people` (rates by address) or `keep_content`."""
        self._ask("PUT", "/control/habits", habits)

    def receipts(self, since: int = 0) -> Iterator[dict[str, Any]]:
        """Every accepted message, oldest first."""
        with self._client.stream("GET", "/control/receipts", params={"since": since}) as answer:
            for line in answer.iter_lines():
                yield json.loads(line)

    def status(self) -> dict[str, Any]:
        """Counts of messages and events, the clock, the faults in force."""
        return self._ask("GET", "/control/status")

    def reset(self) -> None:
        """Forgets every message, event and fault; real time again."""
        self._ask("POST", "/control/reset")

    def _ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, json=document)
        except httpx.HTTPError as error:
            raise WinbackError(
                f"The sandbox at {self.url} does not answer ({type(error).__name__}). "
                "Start it with `winback sandbox start`."
            ) from error
        if answer.status_code != 200:
            raise WinbackError(f"The sandbox refuses: {answer.json().get('error', answer.text)}")
        result: dict[str, Any] = answer.json()
        return result


@dataclass(frozen=True)
class Instance:
    """One sandbox's folder: keys, state of the process, store, logs."""

    folder: Path

    @property
    def state_path(self) -> Path:
        """Port, process and fingerprint of the running sandbox."""
        return self.folder / "state.json"

    def state(self) -> dict[str, Any]:
        """What was written at the last start; empty before the first."""
        try:
            state: dict[str, Any] = json.loads(self.state_path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return state

    def is_running(self) -> bool:
        """Whether the process of the state file answers."""
        state = self.state()
        if not state:
            return False
        try:
            answer = httpx.get(f"http://127.0.0.1:{state['port']}/control/health", timeout=5, trust_env=False)
            return bool(answer.json().get("instance") == state["instance"])
        except (httpx.HTTPError, ValueError):
            return False

    def handle(self) -> Handle:
        """A client for it."""
        state = self.state()
        return Handle(
            f"http://127.0.0.1:{state['port']}",
            keys.load(self.folder / "keys.json"),
            f"http://127.0.0.1:{state['events_port']}",
        )


def folder() -> Path:
    """Where all instances live: `.local/sandbox`."""
    return settings.read().local / "sandbox"


def instance(database_url: str) -> Instance:
    """The instance of a warehouse, running or not. The folder's name says nothing of the password."""
    parts = urlsplit(database_url)
    embedded = settings.read().local / "postgres" / "port"
    server = f"{parts.hostname}:{parts.port}"
    if parts.hostname == "127.0.0.1" and embedded.exists() and embedded.read_text().strip() == str(parts.port):
        server = "embedded"  # its port may change from one start to the next
    return Instance(folder() / hashlib.sha256(f"{server}{parts.path}".encode()).hexdigest()[:12])


def instances() -> list[Instance]:
    """Every instance of this installation."""
    return [Instance(path.parent) for path in sorted(folder().glob("*/state.json"))]


def ensure() -> Handle:
    """The running sandbox of this process's warehouse, started when it is down or older than its code.

    Raises `WinbackError` with its last words when it does not come up.
    """
    url = _database_url()
    it = instance(url)
    with _lock(it):
        if not (it.is_running() and it.state().get("fingerprint") == _fingerprint(url)):
            _stop(it)
            _start(it, url)
    return it.handle()


def running() -> Handle | None:
    """The sandbox of this process's warehouse when it runs, otherwise None."""
    it = instance(_database_url())
    return it.handle() if it.is_running() else None


def stop() -> int:
    """Stops every sandbox of this installation and its webhook service; returns how many ran. What was sent stays."""
    stopped = 0
    for it in instances():
        with _lock(it):
            stopped += _stop(it)
    return stopped


def _database_url() -> str:
    if url := settings.read().database_url:
        return url
    from local import postgres

    return postgres.ensure().url()


def _fingerprint(database_url: str) -> str:
    """Changes when the code of the sandbox or of the webhook service does, or the warehouse's URL."""
    home = Path(__file__).resolve().parent.parent.parent
    paths = sorted(
        path for part in ("local/sandbox", "events", "senders", "warehouse") for path in (home / part).rglob("*.py")
    )
    stamps = [(str(path), status.st_mtime_ns, status.st_size) for path in paths if (status := path.stat())]
    return hashlib.sha256(repr((stamps, database_url)).encode()).hexdigest()[:16]


def _start(it: Instance, database_url: str) -> None:
    known = it.state()
    port, events_port = (_port(known.get(name)) for name in ("port", "events_port"))
    token = secrets.token_hex(8)
    keys.load(it.folder / "keys.json")
    log = it.folder / "sandbox.log"
    command = [
        sys.executable,
        "-m",
        "local.sandbox",
        str(it.folder),
        "--port",
        str(port),
        "--events-port",
        str(events_port),
    ]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as output:
        process = subprocess.Popen(
            [*command, "--instance", token],
            env={**os.environ, "WINBACK_DATABASE_URL": database_url},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    state = {
        "pid": process.pid,
        "port": port,
        "events_port": events_port,
        "instance": token,
        "fingerprint": _fingerprint(database_url),
        "started_at": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    descriptor = os.open(it.state_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(state, file)
    until = time.monotonic() + START_SECONDS
    while not it.is_running():
        if process.poll() is not None or time.monotonic() > until:
            tail = log.read_text().splitlines()[-8:]
            raise WinbackError("The provider sandbox did not start. Its last words:\n  " + "\n  ".join(tail))
        time.sleep(0.05)


def _stop(it: Instance) -> bool:
    """Ends the process of the state file, if it is still the one that answers."""
    if not it.is_running():
        return False
    pid = it.state()["pid"]
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + START_SECONDS
    while _lives(pid):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    return True


def _lives(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # started by another process: nothing to collect
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _lock(it: Instance) -> Iterator[None]:
    it.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(it.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _port(wanted: int | None) -> int:
    """The port it had before when it is free (links in old messages keep working), otherwise a free one."""
    for port in (wanted or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise WinbackError("This machine has no free loopback port.")


class Sandbox:
    """A sandbox inside this process, on a free port, for tests: `with Sandbox() as sandbox: ...`.

    `events_url`: where its webhooks go (without /events/...); None: they are only shown. `folder`: where to keep
    the store; None: in memory. `push_keys`: subscriptions' private keys by endpoint.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        events_url: str | None = None,
        seed: int = 1,
        push_keys: Path | None = None,
    ) -> None:
        self._folder, self._events_url, self._seed, self._push_keys = folder, events_url, seed, push_keys
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Handle:
        from local.sandbox.core import Core
        from local.sandbox.fates import Habits
        from local.sandbox.store import Store

        secret = keys.Keys()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def make_core() -> Core:
            store = Store(self._folder / "sandbox.sqlite" if self._folder else None)
            return Core(store, secret, url, self._events_url, self._push_keys, Habits(seed=self._seed))

        self._server = make_server(make_core, "test")
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise WinbackError("The sandbox did not start inside this process.")
            time.sleep(0.01)
        return Handle(url, secret, self._events_url)

    def __exit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - __enter__ made both
        assert self._thread is not None  # noqa: S101
        self._server.should_exit = True
        self._thread.join(timeout=10)


def make_server(make_core: Callable[[], Core], name: str) -> uvicorn.Server:
    """The server around the application: quiet, no access log (it would name recipients)."""
    import uvicorn

    from local.sandbox import app

    return uvicorn.Server(
        uvicorn.Config(
            app.make(make_core, name),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            backlog=4096,
        )
    )


def forget(it: Instance) -> None:
    """Deletes a stopped instance's folder, keys and messages with it."""
    shutil.rmtree(it.folder, ignore_errors=True)
