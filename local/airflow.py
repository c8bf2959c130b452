"""Airflow on this machine: its home under `.local/airflow`, its metadata in the embedded server, all by environment.

Whatever the user has already set in the environment stays as it is: a deployment's own Airflow is never overruled.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import psycopg

from warehouse import settings
from warehouse.errors import WinbackError

DAG = "winback_daily"
METADATA = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def home() -> Path:
    """Airflow's home: its logs, its generated passwords."""
    return Path(os.environ.get("AIRFLOW_HOME") or settings.read().local / "airflow")


def environment() -> dict[str, str]:
    """This process's environment with what Airflow needs. Starts the embedded server when the metadata lives there."""
    it = settings.read()
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(it.home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "DO_NOT_TRACK": "1",
        "WINBACK_START": _first_day(folder),
    }
    values[METADATA] = os.environ.get(METADATA) or _embedded_metadata()
    if values[METADATA].startswith("postgresql"):
        # Airflow would derive an asyncpg URL, a driver that nothing else here needs; psycopg 3 can do it.
        values[f"{METADATA}_ASYNC"] = "postgresql+psycopg://" + values[METADATA].partition("://")[2]
    # `airflow standalone` starts `airflow` by its name, whether this environment is activated or not.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {**values, **os.environ, "PATH": path}


def ensure() -> dict[str, str]:
    """The environment of an Airflow whose metadata is migrated; the migration runs once for each version of Airflow.

    Raises `WinbackError` with Airflow's last words when it fails.
    """
    values = environment()
    stamp = home() / "migrated"
    if not (stamp.exists() and stamp.read_text() == version("apache-airflow") and _has_metadata(values)):
        done = subprocess.run(
            [*command(), "db", "migrate"],
            env=values,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise WinbackError(
                "Airflow's metadata could not be created. Its last words:\n  "
                + "\n  ".join(done.stdout.strip().splitlines()[-8:])
            )
        stamp.write_text(version("apache-airflow"))
    return values


def command(arguments: Sequence[str] = ()) -> list[str]:
    """`airflow ...` of this environment."""
    return [sys.executable, "-m", "airflow", *arguments]


def is_scheduled(values: dict[str, str]) -> bool:
    """Whether a scheduler is alive and runs the daily DAG: it would then take a run made beside it for its own.

    Known of metadata in PostgreSQL alone; elsewhere the answer is no.
    """
    if not values[METADATA].startswith("postgresql"):
        return False
    with psycopg.connect(_plain(values[METADATA])) as connection:
        row = connection.execute(
            "select exists (select from dag where dag_id = %s and not is_paused) and exists ("
            " select from job where job_type = 'SchedulerJob' and state = 'running'"
            " and latest_heartbeat > now() - interval '60 seconds')",
            [DAG],
        ).fetchone()
    return bool(row and row[0])


@dataclass(frozen=True)
class DagRun:
    """What became of one run of the daily DAG; `seconds` from its start to its end."""

    state: str
    seconds: float


def runs(run_ids: Sequence[str]) -> dict[str, DagRun]:
    """Those of the daily DAG's runs that have ended, by their ids. Known of metadata in PostgreSQL alone."""
    url = environment()[METADATA]
    if not url.startswith("postgresql"):
        return {}
    with psycopg.connect(_plain(url)) as connection:
        found = connection.execute(
            "select run_id, state, extract(epoch from end_date - start_date)::float from dag_run"
            " where dag_id = %s and run_id = any(%s) and end_date is not null",
            [DAG, list(run_ids)],
        ).fetchall()
    return {run_id: DagRun(state, seconds) for run_id, state, seconds in found}


def _embedded_metadata() -> str:
    from local import postgres

    return "postgresql+psycopg2" + postgres.ensure().url(postgres.AIRFLOW).removeprefix("postgresql")


def _has_metadata(values: dict[str, str]) -> bool:
    url = values[METADATA]
    if not url.startswith("postgresql"):
        return False
    with psycopg.connect(_plain(url)) as connection:
        row = connection.execute("select to_regclass('alembic_version') is not null").fetchone()
    return bool(row and row[0])


def _plain(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


def _first_day(folder: Path) -> str:
    """The day before this Airflow was set up: the schedule catches up on missed days since, not on all of history.

    Not the day itself: it may not have begun in the campaign's zone, and Airflow runs no task before a DAG's start.
    """
    path = folder / "first_day"
    if not path.exists():
        path.write_text((datetime.now(UTC).date() - timedelta(days=1)).isoformat())
    return path.read_text().strip()
