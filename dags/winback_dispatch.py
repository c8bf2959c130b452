"""# What is due, every 15 minutes

Sends messages whose hour has come (the recipient's own morning, the end of quiet hours, a provider's "try later"),
settles attempts whose outcome is unknown with what providers have told since, and cleans up tags. When something has
left, the page of the day is written again.

Safe beside `winback_daily` and beside itself: each message is claimed once.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, task
from airflow.timetables.trigger import CronTriggerTimetable
from winback_alert import tell_team
from winback_operator import WinbackOperator

ZONE = os.environ.get("WINBACK_TIMEZONE", "America/New_York")
TODAY = "{{ (dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone).date() }}"

with DAG(
    dag_id="winback_dispatch",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("*/15 * * * *", timezone=ZONE),
    start_date=pendulum.datetime(2026, 11, 1, tz=ZONE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    on_failure_callback=tell_team,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(hours=1),
    },
    tags=["winback"],
):
    dispatch = WinbackOperator(
        task_id="dispatch",
        arguments=["dispatch"],
        doc_md="One pass over what is due now. A retry sends nothing twice.",
    )

    @task.short_circuit(doc_md="Whether something has left: otherwise the pages say what they said.")
    def has_sent(sent_now: dict[str, dict[str, int]]) -> bool:
        return any(states.get("accepted") for states in sent_now.values())

    report = WinbackOperator(
        task_id="report",
        arguments=["report", "--as-of", TODAY],
        doc_md="The page of the day, and anew those of the week before it.",
    )

    has_sent(dispatch.output["sent_now"]) >> report
