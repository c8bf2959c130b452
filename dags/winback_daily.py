"""# The daily win-back

Finds who went quiet, decides what each of them is offered, validates that, and hands it to the senders.

`ready` → `build` → `gate` → `approve` → `enqueue` → `dispatch` (one a shard) → `verdict`, and `report` in any case.
Each task runs one `winback` verb: its first log line can be typed into a shell.

* **The day** is `as_of` of the run's conf (`{"as_of": "2017-10-01"}`), otherwise the logical date in the DAG's zone.
* **A failed run** is cleared and run again: nothing is decided, granted or sent twice. The next days make up for it.
* **Red `verdict`**: the gate held a campaign's day, the others were served. The report and the Data Docs say why.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, task
from airflow.timetables.trigger import CronTriggerTimetable
from winback_alert import tell_team
from winback_approval import Approval
from winback_operator import AirflowFailException, WinbackOperator

ZONE = os.environ.get("WINBACK_TIMEZONE", "America/New_York")
SCHEDULE = os.environ.get("WINBACK_SCHEDULE", "0 5 * * *")  # none: only when triggered, as with the sample data
START = os.environ.get("WINBACK_START", "2026-11-20")  # no earlier day is caught up on

AT = "(dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone)"
AS_OF = f"{{{{ (dag_run.conf or {{}}).get('as_of') or {AT}.date() }}}}"
RUN = "{{ ti.xcom_pull(task_ids='build', key='run_id') }}"
NOT_APPROVED = "{{ '' if 'Approve' in ti.xcom_pull(task_ids='approve', key='chosen_options') else '--not-approved' }}"

with DAG(
    dag_id="winback_daily",
    doc_md=__doc__,
    schedule=None if SCHEDULE == "none" else CronTriggerTimetable(SCHEDULE, timezone=ZONE),
    start_date=pendulum.parse(START, tz=ZONE),
    catchup=True,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=20),
    on_failure_callback=tell_team,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=int(os.environ.get("WINBACK_RETRY_SECONDS", "60"))),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "execution_timeout": timedelta(hours=1),
    },
    tags=["winback"],
):
    ready = WinbackOperator(
        task_id="ready",
        arguments=["ready", "--as-of", AS_OF],
        doc_md="Campaign files are valid, loads complete up to the start of the day. Waits up to six hours.",
        retries=72,
        retry_delay=timedelta(minutes=5),
        retry_exponential_backoff=False,
        execution_timeout=timedelta(minutes=5),
    )
    build = WinbackOperator(
        task_id="build",
        arguments=["build", "--as-of", AS_OF],
        doc_md="One `dbt build`: cohorts, decisions, allocations, the hand-off. Alerts the team when a pool is dry.",
    )
    gate = WinbackOperator(
        task_id="gate",
        arguments=["gate", "--run", RUN, "--continue"],
        doc_md="Great Expectations on the hand-off, campaign by campaign. Holds the day of a campaign that fails it.",
    )
    approve = Approval(
        task_id="approve",
        doc_md="Asks a person before a definition's first live run (`WINBACK_APPROVAL`). No answer: held.",
    )
    enqueue = WinbackOperator(
        task_id="enqueue",
        arguments=["enqueue", "--run", RUN, NOT_APPROVED],
        returns="shards",
        doc_md="Freezes decisions, coupon grants and messages in the outbox, in one transaction.",
    )
    dispatch = WinbackOperator.partial(
        task_id="dispatch",
        arguments=["dispatch", "--run", RUN],
        doc_md="Sends what is due, one task a shard. A retry sends nothing twice.",
        map_index_template="{{ task.shard }}",
    ).expand(shard=enqueue.output)

    @task(trigger_rule="none_failed", doc_md="Fails the run where the gate held a campaign; the others were served.")
    def verdict(held: list[str], why: list[str]) -> None:
        if held:
            raise AirflowFailException("\n  ".join([f"The gate held the day of {', '.join(held)}.", *why]))

    report = WinbackOperator(
        task_id="report",
        arguments=["report", "--as-of", AS_OF],
        doc_md="The page of the run, and anew those of the week before. Always runs, never turns a failed run green.",
        on_failure_callback=tell_team,  # it fails no run, so nothing else would say so
    ).as_teardown()

    served = verdict(gate.output["held"], gate.output["why"])
    ready >> build >> gate >> approve >> enqueue >> dispatch >> served >> report
