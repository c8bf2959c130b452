"""Another PostgreSQL for one command: a cluster of the given binaries is made, used and removed.

`python -m local.another_postgres /usr/lib/postgresql/15/bin make test` runs the suite on PostgreSQL 15, with
`WINBACK_DATABASE_URL` at a server that nobody else knows: `make test-postgres`. The exit code is the command's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from local import postgres
from warehouse import settings
from warehouse.errors import WinbackError

OLDEST = 15
NEEDED = ("initdb", "pg_ctl", "postgres")
EXTENSION = "btree_gist"


def main(arguments: Sequence[str]) -> int:
    """Runs the command on the server of the binaries' folder. Returns the command's exit code, 2 where there is no
    such server."""
    programs, *command = arguments
    try:
        with throwaway(Path(programs)) as server:
            with psycopg.connect(server.url()) as connection:
                version = connection.info.parameter_status("server_version")
            _say(f"PostgreSQL {version} on port {server.port}, under {server.folder}")
            return _run(command, server.url())
    except WinbackError as error:
        _say(str(error))
        return 2


@contextmanager
def throwaway(programs: Path) -> Iterator[postgres.Server]:
    """A running server of these binaries with an empty database `winback`, stopped and deleted afterwards.

    Raises `WinbackError` for a folder without a server, for one older than Winback needs, and for one without
    `btree_gist` (the outbox's exclusion constraint).
    """
    _check_programs(programs)
    local = settings.read().local
    local.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="another-postgres-", dir=local))
    folder.chmod(0o711)  # as root the server runs as another account, which has to get through
    it = postgres.Server(folder / "server", programs.resolve())
    try:
        try:
            postgres.ensure(it)
        except PermissionError as error:
            raise WinbackError(
                f"The account {postgres.system_user() or 'of this process'!r} may not run {error.filename}. "
                "Nothing was started."
            ) from error
        _check_server(it)
        yield it
    finally:
        postgres.stop(it)
        shutil.rmtree(folder)


def _run(command: Sequence[str], url: str) -> int:
    process = subprocess.Popen(command, env={**os.environ, "WINBACK_DATABASE_URL": url})
    try:
        return process.wait()
    finally:
        if process.poll() is None:  # interrupted: the server stays until the command has ended
            process.terminate()
            process.wait()


def _check_programs(programs: Path) -> None:
    missing = [name for name in NEEDED if not os.access(programs / name, os.X_OK)]
    if missing:
        raise WinbackError(
            f"The folder {programs} lacks {', '.join(missing)}. POSTGRES_BIN names the folder with a PostgreSQL "
            f"server's own programs, such as /usr/lib/postgresql/{OLDEST}/bin (`pg_config --bindir` tells it; on "
            "Debian the package is called postgresql-15). Nothing was started."
        )


def _check_server(it: postgres.Server) -> None:
    with psycopg.connect(it.url()) as connection:
        version = connection.info.server_version // 10_000
        known = connection.execute("select 1 from pg_available_extensions where name = %s", [EXTENSION]).fetchone()
    if version < OLDEST:
        raise WinbackError(f"{it.programs} is PostgreSQL {version}; Winback needs {OLDEST} or newer. Nothing was run.")
    if known is None:
        raise WinbackError(
            f"The PostgreSQL of {it.programs} comes without the extension {EXTENSION}, which the outbox needs: "
            "install its contrib package. Nothing was run."
        )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # by way of `throwaway`, so that no server is left behind


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:]))
