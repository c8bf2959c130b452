"""Runs the daily DAG once for each scenario in one process, as `airflow dags test` does, and says what became of it.

Called with a folder and a file of scenarios; writes `<name>.json` and `<name>.log` there for each.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path


def main(folder: Path, scenarios: dict[str, dict[str, object]]) -> None:
    """One run a scenario: `story`, `conf`, `date`, `env`."""
    from airflow.cli import cli_parser

    from local.airflow_days import outcome

    parser = cli_parser.get_parser()
    calls, before = folder / "calls.jsonl", dict(os.environ)
    screen = os.dup(1)
    for name, scenario in scenarios.items():
        os.environ.clear()
        os.environ.update({**before, **scenario.get("env", {})})  # type: ignore[dict-item]
        (folder / "story.json").write_text(json.dumps(scenario.get("story", {})))
        calls.write_text("")
        date = str(scenario.get("date") or datetime.now(UTC).isoformat())
        conf = ["--conf", json.dumps(scenario["conf"])] if "conf" in scenario else []
        log = (folder / f"{name}.log").open("w")
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        code: object = 0
        try:
            arguments = parser.parse_args(["dags", "test", "winback_daily", date, *conf])
            arguments.func(arguments)
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        result = outcome(datetime.fromisoformat(date))
        result |= {"code": code, "calls": [json.loads(line) for line in calls.read_text().splitlines()]}
        (folder / f"{name}.json").write_text(json.dumps(result, default=str))
    os.dup2(screen, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
