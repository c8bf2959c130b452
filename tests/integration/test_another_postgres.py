"""Another PostgreSQL for one command: made, used and gone, however the command ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import postgres

SAY = "import os; print(os.environ['WINBACK_DATABASE_URL'])"
ASK = (
    "import os, psycopg, sys; connection = psycopg.connect(os.environ['WINBACK_DATABASE_URL']);"
    " sys.exit(connection.execute('select 7').fetchone()[0])"
)
STAY = f"{SAY}; import sys, time; sys.stdout.flush(); time.sleep(60)"


@pytest.fixture
def local() -> Iterator[Path]:
    """A fresh WINBACK_LOCAL that a system account may enter (pytest's own folders are closed to it)."""
    folder = Path(tempfile.mkdtemp(prefix="winback-test-"))
    folder.chmod(0o711)
    yield folder / "local"
    shutil.rmtree(folder)


def start(local: Path, programs: Path, code: str) -> subprocess.Popen[str]:
    """`python -m local.another_postgres PROGRAMS python -c CODE`."""
    return subprocess.Popen(
        [sys.executable, "-m", "local.another_postgres", str(programs), sys.executable, "-c", code],
        env={**os.environ, "WINBACK_LOCAL": str(local)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def servers_under(folder: Path) -> list[str]:
    """Command lines of running servers whose data lie under the folder."""
    lines = [" ".join(it.info["cmdline"] or ()) for it in psutil.process_iter(["cmdline"])]
    return [line for line in lines if f"-D {folder}" in line]


@pytest.mark.slow
def test_the_command_gets_the_server_and_its_exit_code_is_kept(local: Path) -> None:
    process = start(local, postgres.binaries(), ASK)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 7, err
    assert err.startswith("PostgreSQL ")
    assert list(local.iterdir()) == []
    assert servers_under(local) == []


@pytest.mark.slow
def test_told_to_end_it_ends_the_command_and_leaves_no_server(local: Path) -> None:
    process = start(local, postgres.binaries(), STAY)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    assert len(servers_under(local)) == 1
    children = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not psutil.wait_procs(children, timeout=10)[1]
    for _ in range(50):
        if not servers_under(local):
            break
        time.sleep(0.1)
    assert servers_under(local) == []
    assert list(local.iterdir()) == []


def test_a_folder_without_a_server_is_named_and_nothing_is_started(local: Path, tmp_path: Path) -> None:
    process = start(local, tmp_path, SAY)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert f"The folder {tmp_path} lacks initdb, pg_ctl, postgres. POSTGRES_BIN names the folder" in err
    assert not local.exists()
