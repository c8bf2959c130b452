"""Runs one WinbackOperator outside a DAG, as Airflow's task process would: SIGTERM calls `on_kill`.

Called with JSON: `{"arguments": [...], "try_number": 1, "timeout": null, "grace": 20}`; prints the outcome as its last line.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "dags"))


def main(order: dict[str, object]) -> None:
    """Executes the operator and prints `{"result"}` or `{"error", "words"}`, and what it pushed."""
    import winback_operator
    from airflow.sdk.exceptions import AirflowNotFoundException
    from airflow.sdk.execution_time.timeout import timeout

    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    pushed: dict[str, object] = {}
    ti = SimpleNamespace(try_number=order.get("try_number", 1), xcom_push=pushed.__setitem__)
    operator = winback_operator.WinbackOperator(task_id="it", arguments=order["arguments"])
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    winback_operator.GRACE_SECONDS = order.get("grace", 20)
    outcome: dict[str, object]
    with patch.object(winback_operator.Connection, "get", side_effect=AirflowNotFoundException("none")):
        try:
            with timeout(float(str(order.get("timeout") or 60))):
                outcome = {"result": operator.execute.__wrapped__(operator, {"ti": ti})}
        except BaseException as error:
            outcome = {"error": type(error).__name__, "words": str(error)}
    print(json.dumps({**outcome, "pushed": pushed}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
