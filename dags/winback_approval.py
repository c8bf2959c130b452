"""A person's yes before a definition's first live run: Airflow's own human-in-the-loop operator."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator

APPROVE, HOLD = "Approve", "Hold the day"


class Approval(HITLOperator):
    """Waits for Approve or Hold in Airflow's UI; unanswered after `hours`, the day is held.

    `WINBACK_APPROVAL` says when it asks: `never`; `first` (default), where the gate's XCom names a campaign in
    `first_live`; `always`, for every live run. A simulated run asks nobody, and `approve` in the run's conf
    (`winback run --approve`) is an answer given beforehand.
    """

    def __init__(self, *, hours: float = 4.5, **kwargs: Any) -> None:
        super().__init__(
            **{
                "subject": "Winback: may this day be sent?",
                "body": "The gate let {{ ti.xcom_pull(task_ids='gate', key='request_count') }} messages pass. "
                "First live run of: {{ ti.xcom_pull(task_ids='gate', key='first_live') | join(', ') or 'none' }}.\n\n"
                "Without an answer the day is held; its people are decided anew tomorrow.",
                "options": [APPROVE, HOLD],
                "defaults": HOLD,
                "response_timeout": timedelta(hours=hours),
                "multiple_outputs": True,
                **kwargs,
            }
        )

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Answers by itself where nobody is to be asked, otherwise parks the task until somebody answers."""
        told = (context["dag_run"].conf or {}).get("approve")
        gate = context["ti"].xcom_pull(task_ids="gate")
        policy = os.environ.get("WINBACK_APPROVAL", "first")
        asked = gate["mode"] == "live" and (policy == "always" or (policy == "first" and gate["first_live"]))
        if asked and told is None:
            return super().execute(context)
        return {"chosen_options": [APPROVE if told or not asked else HOLD], "responded_by_user": None}
