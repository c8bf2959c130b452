"""The embedded server: for this machine alone, behind a password, there when it is needed and only once."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from local import postgres
from warehouse.errors import WinbackError

WINBACK = str(Path(sys.executable).parent / "winback")


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh WINBACK_LOCAL that a system account may enter (pytest's own folders are closed to it)."""
    folder = Path(tempfile.mkdtemp(prefix="winback-test-"))
    folder.chmod(0o711)
    monkeypatch.setenv("WINBACK_LOCAL", str(folder / "local"))
    monkeypatch.delenv("WINBACK_DATABASE_URL", raising=False)
    yield folder / "local"
    postgres.stop()
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_first_start_makes_a_server_for_this_machine_alone_behind_a_password(installation: Path) -> None:
    server = postgres.ensure()

    assert {listening.laddr.ip for listening in _listening(server)} == {"127.0.0.1"}
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("show unix_socket_directories").fetchone() == ("",)
        assert connection.execute("show server_version_num").fetchone() >= ("180000",)
    password = installation / "secrets" / "postgres.password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert len(password.read_text()) >= 32
    assert password.read_text() not in _every_readable_file(installation / "postgres")
    without = urlsplit(server.url())._replace(netloc=f"winback@127.0.0.1:{server.port}").geturl()
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(without, passfile="/nonexistent")


@pytest.mark.slow
def test_a_stopped_or_killed_server_is_started_again_with_its_data(installation: Path) -> None:
    server = postgres.ensure()
    with psycopg.connect(server.url()) as connection:
        connection.execute("create table kept (n integer)")
        connection.execute("insert into kept values (42)")
    assert postgres.stop()
    assert not server.is_running()
    assert not postgres.stop(), "there was nothing to stop"

    assert _kept(postgres.ensure()) == 42

    postmaster = psutil.Process(_pid(server))
    postmaster.kill()
    postmaster.wait(timeout=10)
    assert _kept(postgres.ensure()) == 42


@pytest.mark.slow
def test_two_first_starts_at_once_end_in_one_server(installation: Path) -> None:
    both = [
        subprocess.Popen([WINBACK, "db", "url"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    urls = {out.strip() for out, _ in ended}
    assert len(urls) == 1
    with psycopg.connect(urls.pop()) as connection:
        assert connection.execute(
            "select count(*) from pg_database where datname in ('winback', 'airflow')"
        ).fetchone() == (2,)


@pytest.mark.slow
def test_a_broken_off_first_start_is_begun_again(installation: Path) -> None:
    half = installation / "postgres" / "data"
    half.mkdir(parents=True)
    (half / "pg_hba.conf").write_text("half of an initdb")
    with psycopg.connect(postgres.ensure().url()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.slow
def test_a_port_that_somebody_took_is_given_up_for_another(installation: Path) -> None:
    server = postgres.ensure()
    port = server.port
    postgres.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port or 0))
        other.listen()
        assert postgres.ensure().port != port


@pytest.mark.slow
def test_a_server_that_does_not_come_up_shows_its_last_words(installation: Path) -> None:
    server = postgres.ensure()
    postgres.stop()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = nonsense\n")
    with pytest.raises(WinbackError, match="did not start") as refused:
        postgres.ensure()
    assert "shared_buffers" in str(refused.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another account")
def test_as_root_a_folder_closed_to_the_servers_account_is_explained_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("WINBACK_LOCAL", str(closed / "local"))
    with pytest.raises(WinbackError, match="may not enter") as refused:
        postgres.ensure()
    assert "WINBACK_LOCAL" in str(refused.value)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def _pid(server: postgres.Server) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def _listening(server: postgres.Server) -> list[psutil._common.pconn]:
    return [one for one in psutil.Process(_pid(server)).net_connections("inet") if one.status == psutil.CONN_LISTEN]


def _kept(server: postgres.Server) -> int:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("select n from kept").fetchone()
    assert row is not None
    return int(row[0])


def _every_readable_file(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 100_000]
    return "".join(path.read_text(errors="replace") for path in files)
