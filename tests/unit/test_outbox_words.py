from __future__ import annotations

import re
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import typer

from campaigns.definition import Bundle, load_all
from cli.build import aware, run_clock
from cli.dispatch import complain, parse_shard
from outbox.claims import Group, Rules, Shard
from outbox.dispatch import Dispatched, Unreachable
from outbox.shared import FAILED_BATCHES, REFUSED_MESSAGES, Shared
from outbox.sql import FOLDER, queries
from senders.contract import Outcome, OutcomeKind
from warehouse import settings
from warehouse.errors import Misconfigured, TryLater, WinbackError

NOW = datetime(2017, 10, 1, 14, tzinfo=UTC)
GROUP = Group("winback", "email", "hash", "template")
PRESENT = datetime(2026, 11, 21, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_all(settings.read().campaigns)


def test_every_statement_is_named_once_and_described() -> None:
    names: list[str] = []
    for path in sorted(FOLDER.glob("*.sql")):
        blocks = path.read_text().split("-- name: ")[1:]
        for block in blocks:
            names.append(re.split(r"\W", block)[0])
            assert block.splitlines()[1].startswith("-- "), names[-1]
    assert len(names) == len(set(names))
    assert set(names) <= set(queries.available_queries)


def test_a_simulated_run_starts_at_its_build_hour(bundle: Bundle) -> None:
    clock = run_clock(bundle, date(2017, 10, 1), None, present=PRESENT, simulated=True)
    assert clock == datetime(2017, 10, 1, 9, tzinfo=UTC)


def test_a_live_run_starts_now(bundle: Bundle) -> None:
    assert run_clock(bundle, date(2026, 11, 21), None, present=PRESENT, simulated=False) == PRESENT


def test_a_day_that_has_not_begun_in_the_shop_is_refused(bundle: Bundle) -> None:
    just_before_midnight = datetime(2026, 11, 22, 4, 59, tzinfo=UTC)
    with pytest.raises(WinbackError, match="2026-11-22 lies in the future: it is 2026-11-21 in America/New_York"):
        run_clock(bundle, date(2026, 11, 22), None, present=just_before_midnight, simulated=True)
    run_clock(bundle, date(2026, 11, 22), None, present=just_before_midnight + timedelta(minutes=1), simulated=True)


def test_a_told_time_is_for_simulations(bundle: Bundle) -> None:
    told = "2017-10-01T07:00-04:00"
    day = date(2017, 10, 1)
    assert run_clock(bundle, day, told, present=PRESENT, simulated=True) == datetime(2017, 10, 1, 11, tzinfo=UTC)
    with pytest.raises(WinbackError, match="simulated runs only"):
        run_clock(bundle, day, told, present=PRESENT, simulated=False)


@pytest.mark.parametrize("text", ["yesterday", "2017-10-01T05:00"])
def test_a_time_that_cannot_be_read_or_has_no_zone_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        aware(text)


def _dispatched(**changes: Any) -> Dispatched:
    empty = ("totals", "sent_now", "misconfigured", "unreachable", "put_off")
    nothing: dict[str, Any] = {name: {} for name in empty}
    return Dispatched(**{**nothing, "stopped": frozenset(), **changes})


@pytest.mark.parametrize("worst", [Misconfigured, TryLater, WinbackError])
def test_a_dispatch_in_trouble_says_all_of_it_and_the_worst_decides_how_it_ends(worst: type[Exception]) -> None:
    trouble: dict[str, Any] = {"stopped": frozenset({"winback"})}
    if worst is not WinbackError:
        trouble["unreachable"] = {"email": Unreachable("email", "SendGrid could not be reached.", 15, NOW)}
    if worst is Misconfigured:
        trouble["misconfigured"] = {"sms": "no auth token"}
    with pytest.raises(worst) as raised:
        complain(_dispatched(**trouble))
    said = str(raised.value)
    assert type(raised.value) is worst
    assert "winback stopped: batch after batch failed." in said
    assert ("15 messages wait for it" in said) is ("unreachable" in trouble)
    assert ("sms: no auth token" in said) is ("misconfigured" in trouble)


def test_a_dispatch_without_trouble_complains_of_nothing() -> None:
    complain(None)
    complain(_dispatched())


def test_shards_are_written_from_one() -> None:
    assert parse_shard("1/1") == Shard(0, 1)
    assert parse_shard("3/4") == Shard(2, 4)


@pytest.mark.parametrize("text", ["0/1", "2/1", "1", "a/b", "1/0", ""])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_shard(text)


def test_the_rules_of_a_claim_are_those_of_the_definition(bundle: Bundle) -> None:
    document = bundle.campaigns["winback"].document()
    assert Rules.of(document) == Rules("America/New_York", "10:00", document["hours"], 1, 3)
    assert Rules.of({**document, "hours": None}).hours == {}


def test_a_channel_that_asked_for_a_pause_is_left_alone_until_it_is_over() -> None:
    shared = Shared()
    wait = Outcome(OutcomeKind.NOT_SENT, retry_after=timedelta(minutes=5))
    shared.learn(GROUP, {uuid.uuid4(): wait}, NOW)
    assert not shared.may_go(GROUP, NOW + timedelta(minutes=4))
    assert shared.may_go(GROUP, NOW + timedelta(minutes=5))
    assert GROUP.campaign not in shared.stopped


def test_a_few_refused_recipients_stop_nobody_and_many_in_a_row_do() -> None:
    shared = Shared()
    for _ in range(REFUSED_MESSAGES - 1):
        shared.learn(GROUP, {uuid.uuid4(): Outcome(OutcomeKind.REJECTED)}, NOW)
    assert shared.may_go(GROUP, NOW)
    shared.learn(GROUP, {uuid.uuid4(): Outcome(OutcomeKind.REJECTED)}, NOW)
    assert not shared.may_go(GROUP, NOW)


def test_failing_batches_count_only_in_a_row() -> None:
    shared = Shared()
    bad, good = [Outcome(OutcomeKind.UNKNOWN)], [Outcome(OutcomeKind.ACCEPTED), Outcome(OutcomeKind.UNKNOWN)]
    for told in [bad] * (FAILED_BATCHES - 1) + [good] + [bad] * (FAILED_BATCHES - 1):
        shared.learn(GROUP, {uuid.uuid4(): each for each in told}, NOW)
    assert shared.may_go(GROUP, NOW)
    shared.learn(GROUP, {uuid.uuid4(): each for each in bad}, NOW)
    assert not shared.may_go(GROUP, NOW)
