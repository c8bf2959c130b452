"""Runs one WinbackOperator outside a DAG, as Airflow's task process would: SIGTERM calls `on_kill`.

Called with a list of orders as JSON, `{"arguments": [...], "try_number": 1, "timeout": null, "grace": 20, "env": {}}`;
prints one line of JSON for each.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "dags"))


def main(orders: list[dict[str, object]]) -> None:
    """Executes the operator for each order and prints `{"result"}` or `{"error", "words"}`, and what it pushed."""
    import winback_operator
    from airflow.sdk.exceptions import AirflowNotFoundException

    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    before = dict(os.environ)
    with patch.object(winback_operator.Connection, "get", side_effect=AirflowNotFoundException("none")):
        for order in orders:
            os.environ.clear()
            os.environ.update({**before, **order.get("env", {})})  # type: ignore[dict-item]
            winback_operator.GRACE_SECONDS = order.get("grace", 20)
            print(json.dumps(execute(winback_operator.WinbackOperator, order)), flush=True)  # noqa: T201


def execute(operator_class: type, order: dict[str, object]) -> dict[str, object]:
    """One order."""
    from airflow.sdk.execution_time.timeout import timeout

    pushed: dict[str, object] = {}
    ti = SimpleNamespace(try_number=order.get("try_number", 1), xcom_push=pushed.__setitem__)
    operator = operator_class(task_id="it", arguments=order["arguments"])
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    try:
        with timeout(float(str(order.get("timeout") or 60))):
            return {"result": operator.execute.__wrapped__(operator, {"ti": ti}), "pushed": pushed}
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test wants to see it
        return {"error": type(error).__name__, "words": str(error), "pushed": pushed}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
