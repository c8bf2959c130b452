"""The sandbox's own process, started by `server.ensure`: serves, and keeps the webhook service running beside it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from local.sandbox import keys
from local.sandbox.core import Core
from local.sandbox.fates import Habits
from local.sandbox.server import PUSH_KEYS, Instance, make_server
from local.sandbox.store import Store

RESTART_SECONDS = 2.0
WATCH_SECONDS = 5.0

log = logging.getLogger("local.sandbox")


def main() -> None:
    """Serves until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m local.sandbox", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the instance keeps its keys, store and logs")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events-port", type=int, required=True)
    parser.add_argument("--instance", required=True, help="what /control/health answers")
    given = parser.parse_args()
    os.umask(0o077)
    url, events_url = (f"http://127.0.0.1:{port}" for port in (given.port, given.events_port))
    secret = keys.load(given.folder / "keys.json")

    reported = events_url if importlib.util.find_spec("events.__main__") else None
    if reported is None:
        log.warning("There is no webhook service in this installation: what comes back is only shown in the inbox.")

    def make_core() -> Core:
        store = Store(given.folder / "sandbox.sqlite")
        habits, clock = Habits(**store.meta("habits", {})), store.meta("clock")
        return Core(store, secret, url, reported, given.folder.parent / PUSH_KEYS, habits, clock=clock)

    server = make_server(make_core, given.instance)
    server.config.host, server.config.port = "127.0.0.1", given.port
    stopping = threading.Event()
    environment = {
        **os.environ,
        "WINBACK_EVENTS_RATE": os.environ.get("WINBACK_EVENTS_RATE") or "100000",  # every call comes from one caller
        "WINBACK_PUBLIC_URL": os.environ.get("WINBACK_PUBLIC_URL") or events_url,
        **{
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(document)
            for name, document in keys.connections(secret, url, events_url).items()
        },
    }
    keeper = threading.Thread(target=_keep_events, args=(given.folder, given.events_port, environment, stopping))
    if reported:
        keeper.start()
    threading.Thread(target=_watch, args=(given.folder, given.instance), daemon=True).start()
    # uvicorn ends in an orderly way and then raises the signal again: the webhook service has to end as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.run()
    finally:
        stopping.set()
        if reported:
            keeper.join()


def _watch(folder: Path, name: str) -> None:
    """Ends this process when its folder is gone or names another: nobody could find it any more."""
    while True:
        time.sleep(WATCH_SECONDS)
        if Instance(folder).state().get("instance") != name:
            os.kill(os.getpid(), signal.SIGTERM)


def _keep_events(folder: Path, port: int, environment: dict[str, str], stopping: threading.Event) -> None:
    """Runs the webhook service on `port`, again whenever it ends, until `stopping`."""
    _end_orphan(folder)
    while not stopping.is_set():
        with (folder / "events.log").open("a") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "events", "--port", str(port)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        (folder / "events.pid").write_text(str(child.pid))
        while child.poll() is None and not stopping.wait(0.2):
            pass
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        else:
            log.warning("The webhook service ended with exit code %s; starting it again.", child.returncode)
            stopping.wait(RESTART_SECONDS)
    (folder / "events.pid").unlink(missing_ok=True)


def _end_orphan(folder: Path) -> None:
    """Ends the webhook service that a killed sandbox left behind, if its process id is still that of one."""
    path = folder / "events.pid"
    if not path.exists():
        return
    pid = path.read_text().strip()
    shown = subprocess.run(["ps", "-wwo", "command=", "-p", pid], capture_output=True, text=True, check=False).stdout
    if "-m events --port" in shown:
        os.kill(int(pid), 15)


if __name__ == "__main__":
    main()
