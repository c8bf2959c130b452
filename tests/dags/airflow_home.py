"""An Airflow of the tests' own: a fresh home, a migrated metadata database, a `winback` that only says its lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.databases import created

HOME = Path(__file__).resolve().parents[2]

FAKE = """
import json, os, pathlib, sys, time
verb, *arguments = sys.argv[1:]
story = json.loads(pathlib.Path(os.environ["FAKE_STORY"]).read_text())
calls = pathlib.Path(os.environ["FAKE_CALLS"])
with calls.open("a") as file:
    connections = sorted(name for name in os.environ if name.startswith("AIRFLOW_CONN_"))
    file.write(json.dumps([verb, arguments, connections]) + "\\n")
before = sum(json.loads(line)[0] == verb for line in calls.read_text().splitlines())
told = story.get(verb, {})
print(f"{verb} is at work", flush=True)
time.sleep(told.get("sleep", 0))
if before <= told.get("fails", 0):
    print(f"winback: {verb} cannot do it.\\n  Mend it, then run it again.", file=sys.stderr)
    sys.exit(told.get("code", 1))
says = {"run_id": "11111111-1111-1111-1111-111111111111", "held": [], "why": [], "first_live": [],
        "mode": "simulated", "request_count": 3, "shards": ["1/2", "2/2"]}
print(json.dumps({**says, **told.get("says", {})}))
"""


@dataclass
class Home:
    """One Airflow home with a fake `winback`."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)

    def tell(self, story: Mapping[str, Any]) -> None:
        """What the fake verbs do from now on: `{"gate": {"says": {...}, "fails": 1, "code": 75, "sleep": 3}}`."""
        (self.folder / "story.json").write_text(json.dumps(story))
        (self.folder / "calls.jsonl").write_text("")

    def calls(self) -> list[tuple[str, list[str], list[str]]]:
        """Verb, arguments and the names of the connections it was given, in order."""
        return [tuple(json.loads(line)) for line in (self.folder / "calls.jsonl").read_text().splitlines()]

    def verbs(self) -> list[str]:
        """The verbs alone."""
        return [verb for verb, *_ in self.calls()]

    def airflow(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Airflow's own command."""
        return self.run([sys.executable, "-m", "airflow", *arguments], **environment)

    def run(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Any command in this home."""
        return subprocess.run(
            command,
            env={**self.environment, **environment},
            cwd=HOME,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    def metadata(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of Airflow's metadata."""
        with psycopg.connect(self.environment["TEST_METADATA"]) as connection:
            return connection.execute(query, values).fetchall()


@contextmanager
def home(postgres: str, folder: Path) -> Iterator[Home]:
    """A migrated Airflow in `folder`, with its metadata on the suite's server; dropped at the end."""
    (folder / "fake_winback.py").write_text(FAKE)
    with created(postgres, "airflow") as url:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "WINBACK"))},
            "WINBACK_DATABASE_URL": url,
            "WINBACK_LOCAL": str(folder),
            "WINBACK_COMMAND": f"{sys.executable} {folder / 'fake_winback.py'}",
            "FAKE_STORY": str(folder / "story.json"),
            "FAKE_CALLS": str(folder / "calls.jsonl"),
            "TEST_METADATA": url,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgresql", "postgresql+psycopg2", 1),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": url.replace("postgresql", "postgresql+psycopg", 1),
        }
        settle = "import json, local.airflow; print(json.dumps(local.airflow.ensure()))"
        done = subprocess.run(
            [sys.executable, "-c", settle], env=environment, cwd=HOME, capture_output=True, text=True, check=True
        )
        it = Home(folder, json.loads(done.stdout.splitlines()[-1]))
        it.tell({})
        yield it
