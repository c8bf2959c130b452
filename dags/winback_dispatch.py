"""# What is due, every 15 minutes

Sends messages whose hour has come (the recipient's own morning, the end of quiet hours, a provider's "try later"),
and settles attempts whose outcome is unknown with what providers have told since. Then the page of the day says so.

Safe beside `winback_daily` and beside itself: each message is claimed once.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.sdk import DAG
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

    report = WinbackOperator(
        task_id="report",
        arguments=["report", "--as-of", TODAY],
        doc_md="The page of the day, and anew those of the week before. Whatever became of the dispatch, and of it.",
        retries=1,
        execution_timeout=timedelta(minutes=5),
    ).as_teardown()

    dispatch >> report
