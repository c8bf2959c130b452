from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from campaigns import definition
from outbox import runs
from outbox.sql import ledger
from tests.integration.handoff_stub import BUILT_AT, DAY, Shop, campaign
from warehouse import settings
from warehouse.errors import WinbackError

NOW = timedelta()


def state(shop: Shop, run_id: uuid.UUID) -> str:
    return str(shop.value("select state from outbox.run where run_id = %s", run_id))


def opened(plan: runs.Plan, wait: timedelta = NOW) -> uuid.UUID:
    """The run that `building` opens, left open as a killed process would."""
    with runs.building(plan, wait=wait, progress=lambda _: None) as run_id:
        return run_id


def test_a_run_has_its_days_and_its_clock(shop: Shop) -> None:
    run_id = opened(shop.plan())
    with ledger() as connection:
        run = runs.find(connection, run_id)
    assert (run.state, run.clock, run.days, run.target, run.mode) == ("building", BUILT_AT, [DAY], "prod", "simulated")
    assert shop.rows("select as_of, clock from outbox.run_day") == [(DAY, BUILT_AT)]


def test_the_same_holder_takes_its_own_run_up_again(shop: Shop) -> None:
    first = opened(shop.plan())
    runs.mark_built(first)
    assert opened(shop.plan()) == first
    assert state(shop, first) == "building"


def test_the_same_holder_leaves_its_unfinished_run_for_another_day(shop: Shop) -> None:
    first = opened(shop.plan())
    second = opened(shop.plan(DAY + timedelta(days=1)))
    assert (state(shop, first), state(shop, second)) == ("abandoned", "building")


def test_another_holder_waits_for_a_living_run_and_says_so(shop: Shop) -> None:
    first = opened(shop.plan())
    said: list[str] = []
    done = threading.Timer(1, lambda: runs.fail(first, "done"))
    done.start()
    with runs.building(shop.plan(holder="other"), wait=timedelta(seconds=20), progress=said.append) as second:
        assert second != first
    assert "another run is under way" in said[0]


def test_another_holder_gives_up_after_its_patience(shop: Shop) -> None:
    first = opened(shop.plan())
    with pytest.raises(WinbackError, match="Another run is between build and enqueue"):
        opened(shop.plan(holder="other"))
    assert state(shop, first) == "building"


def test_a_run_whose_lease_ran_out_is_abandoned(shop: Shop) -> None:
    first = opened(shop.plan())
    shop.owner.execute("update outbox.run set lease_until = clock_timestamp() - interval '1 second'")
    second = opened(shop.plan(holder="other"))
    assert (state(shop, first), state(shop, second)) == ("abandoned", "building")
    with pytest.raises(WinbackError, match="is abandoned"):
        runs.mark_built(first)


def test_two_builders_of_one_run_are_kept_apart(shop: Shop) -> None:
    """A retried task whose first process is still at work has the same holder: the lease would let it in, the
    lock does not."""
    with (
        runs.building(shop.plan(), wait=NOW, progress=lambda _: None),
        pytest.raises(WinbackError, match="Another process has been building"),
    ):
        opened(shop.plan())


def test_the_lock_dies_with_its_process(shop: Shop) -> None:
    code = (
        "import os, signal; from outbox import runs; from datetime import timedelta\n"
        "with runs.building_site(wait=timedelta(), progress=print): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
    opened(shop.plan(), wait=timedelta(seconds=10))


def test_the_lease_is_kept_alive_while_a_build_works(shop: Shop) -> None:
    run_id = shop.open_run()
    shop.owner.execute("update outbox.run set lease_until = clock_timestamp()")
    with runs.kept_alive(run_id, lease=timedelta(seconds=2)):
        time.sleep(1.2)
        assert shop.value("select lease_until > clock_timestamp() from outbox.run")


def test_a_failed_run_says_why_and_is_out_of_the_way(shop: Shop) -> None:
    run_id = shop.open_run()
    runs.fail(run_id, "the model stg_x failed")
    assert shop.rows("select state, detail, closed_at is not null from outbox.run") == [
        ("failed", "the model stg_x failed", True)
    ]
    opened(shop.plan(holder="other"))
    runs.fail(run_id, "again")
    assert shop.value("select detail from outbox.run where run_id = %s", run_id) == "the model stg_x failed"


RACER = """
import sys
from datetime import timedelta
from outbox import runs
from tests.integration.handoff_stub import BUILT_AT, DAY

plan = runs.Plan("simulated", BUILT_AT, {DAY: BUILT_AT}, sys.argv[1], "prod", sys.argv[2])
with runs.building(plan, wait=timedelta(seconds=60), progress=lambda _: None) as run_id:
    runs.mark_built(run_id)
runs.fail(run_id, "done")
print(run_id)
"""


def test_two_processes_that_race_for_one_day_go_one_after_the_other(shop: Shop) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, shop.bundle_hash, f"racer {number}"],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
        )
        for number in range(3)
    ]
    outputs = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert len(set(outputs)) == 3
    assert shop.value("select count(*) from outbox.run where state = 'failed'") == 3


def test_definitions_and_templates_are_kept_by_their_hash(shop: Shop) -> None:
    bundle = definition.load_all(settings.read().campaigns)
    with ledger() as connection:
        runs.register(connection, bundle)
        runs.register(connection, bundle)
        body = runs.definition(connection, bundle.campaigns["winback"].hash)
        assert body == bundle.campaigns["winback"].document()
        for template_hash, template in bundle.templates.items():
            assert runs.template(connection, template_hash) == template
        with pytest.raises(WinbackError, match="has no row"):
            runs.template(connection, "none")


def test_a_step_that_people_are_in_the_middle_of_cannot_be_removed(shop: Shop, tmp_path: Path) -> None:
    shop.define(campaign(steps=[{"key": "gone"}, {"key": "day30"}]))
    shop.planned(step="gone")
    bundle = definition.load_all(settings.read().campaigns)
    with ledger() as connection, pytest.raises(WinbackError, match="'gone' is gone while one contact is"):
        runs.check_keys(connection, bundle, DAY)
    shop.owner.execute("update outbox.message set state = 'skipped'")
    with ledger() as connection:
        runs.check_keys(connection, bundle, DAY)
