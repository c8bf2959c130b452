"""A round: one experiment, one contestant, one seed, with a database and a sandbox of its own."""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from local.sandbox.server import PUSH_KEYS, Handle, Sandbox
from senders.contract import EMAIL
from tests.faults import browsers
from tests.faults import shop as shops
from tests.faults.crew import BROKEN_OFF, LEASE, Contestant, Crew, crew
from tests.faults.database import Arena, warehouse
from tests.faults.judge import Verdict, judge
from tests.integration.handoff_stub import SEND_AT, Shop


@dataclass
class Round:
    """What an experiment works with."""

    url: str
    shop: Shop
    sandbox: Handle
    crew: Crew
    people: int
    quick: bool
    dice: random.Random
    folder: Path
    channel: str = EMAIL
    """What it sends through, where an experiment does not choose for itself."""

    @property
    def browsers(self) -> Path:
        """What the sandbox's push services know of subscriptions (`browsers.tell`)."""
        return self.folder / PUSH_KEYS

    @property
    def ours(self) -> bool:
        """Whether it is our turn, not the control's."""
        return self.crew.contestant == "ours"

    def some(self, full: int, quick: int) -> int:
        """A count for the full run, or for the short one."""
        return quick if self.quick else full


def plan(it: Round) -> None:
    """A message for each person."""
    shops.plan(it.shop, it.people, channels=[it.channel])


class Stage(Protocol):
    """Where a round is played."""

    def __call__(
        self, arena: Arena, contestant: Contestant, seed: int, *, people: int, quick: bool
    ) -> AbstractContextManager[Round]:
        """A round of nobody yet."""


@dataclass(frozen=True)
class Experiment:
    """One way of breaking delivery, played with many seeds."""

    name: str
    what: str
    """What is broken, in a line for the table."""
    play: Callable[[Round], None]
    """Breaks it, and brings the round to its end."""
    people: tuple[int, int] = (400, 60)
    """Messages of a round: in the full run, in the short one."""
    seeds: tuple[int, int] = (3, 1)
    """Rounds of each contestant; 0 in the short run: it takes too long for it."""
    prepare: Callable[[Round], None] = plan
    """What is planned before the play; played with the round's database as the warehouse of this process."""
    stage: Stage | None = None
    """Where it is played, if not in a database and a sandbox as every other has them."""
    control: bool = True
    """Whether the control plays it, too."""
    shows: str | None = None
    """What the control has to show here (a field of its verdicts), or else the faults proved nothing."""
    excused: frozenset[str] = frozenset()
    """Reasons for which a message may rightly not be sent here."""
    channels: tuple[str, ...] = (EMAIL,)
    """What its rounds send through: the first seed through the first of them, the next one through the next."""
    doubt: bool = True
    """Whether messages may be in doubt at the end; False: the fault leaves no room for doubt."""

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """Who plays it."""
        return ("ours", "naive") if self.control else ("ours",)


@dataclass
class Result:
    """What the rounds of one experiment came to, ours and the control's."""

    experiment: Experiment
    ours: dict[int, Verdict] = field(default_factory=dict)
    """By seed."""
    naive: dict[int, Verdict] = field(default_factory=dict)
    seconds: float = 0.0
    """Of all rounds; several are played at once."""
    errors: list[str] = field(default_factory=list)
    """Rounds that broke."""

    def add(self, contestant: Contestant, seed: int, verdict: Verdict, seconds: float) -> None:
        """Keeps the verdict of a round."""
        (self.ours if contestant == "ours" else self.naive)[seed] = verdict
        self.seconds += seconds

    @property
    def complaints(self) -> list[str]:
        """Why the experiment failed; empty when it passed."""
        found = list(self.errors)
        for seed, verdict in sorted(self.ours.items()):
            broken = ", ".join(f"{name} {count}" for name, count in verdict.broken.items())
            if broken:
                found.append(f"seed {seed}: {broken}" + "".join(f"; {note}" for note in verdict.notes))
            if verdict.in_doubt and not self.experiment.doubt:
                found.append(f"seed {seed}: {verdict.in_doubt} in doubt, where nothing was doubtful")
        shown = self.experiment.shows
        if shown and self.naive and not sum(getattr(verdict, shown) for verdict in self.naive.values()):
            found.append(f"the control shows nothing: it met these faults with no case of {shown}")
        return found


def run(
    arena: Arena,
    experiments: Sequence[Experiment],
    *,
    quick: bool,
    seeds: int | None = None,
    at_once: int = 4,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """Plays experiments with their seeds, ours and the control's, several rounds at once: most of a round is waiting.

    `seeds`: in place of each experiment's own number.
    """
    results = [Result(experiment) for experiment in experiments]

    def one(result: Result, contestant: Contestant, seed: int) -> None:
        began = time.monotonic()
        try:
            verdict = play(arena, result.experiment, contestant, seed, quick=quick)
        except Exception as error:  # noqa: BLE001 - a round that broke is a complaint, the others are played
            result.errors.append(f"seed {seed}, {contestant}: {type(error).__name__}: {error}")
            progress(f"{result.experiment.name}, {result.errors[-1]}")
            return
        result.add(contestant, seed, verdict, time.monotonic() - began)
        progress(
            f"{result.experiment.name}, seed {seed}, {contestant}: {verdict.messages:,} messages, "
            f"{verdict.kills} kills, {verdict.duplicated} duplicated, {verdict.in_doubt} in doubt"
            + "".join(f", {count} {name}" for name, count in verdict.broken.items() if name != "duplicated")
        )

    with ThreadPoolExecutor(at_once) as pool:
        rounds = [
            pool.submit(one, result, contestant, seed)
            for result in results
            for seed in range(1, (seeds or result.experiment.seeds[quick]) + 1)
            for contestant in result.experiment.contestants
        ]
        try:
            for each in as_completed(rounds):
                each.result()
        except KeyboardInterrupt:
            BROKEN_OFF.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def play(arena: Arena, experiment: Experiment, contestant: Contestant, seed: int, *, quick: bool) -> Verdict:
    """One round, judged."""
    people = experiment.people[quick]
    with (experiment.stage or on_stage)(arena, contestant, seed, people=people, quick=quick) as it:
        it.channel = it.crew.channel = experiment.channels[(seed - 1) % len(experiment.channels)]
        if not experiment.doubt:
            it.crew.timeout = 30.0  # a slow machine must not look like a lost answer
            it.crew.lease = it.crew.timeout if it.ours else LEASE  # nor like a dead worker: here none dies with a claim
        with warehouse(it.url):
            experiment.prepare(it)
        if not it.browsers.exists():
            browsers.tell(it.shop, it.browsers)
        experiment.play(it)
        verdict = judge(
            it.url, contestant, it.sandbox, people=it.people, excused=experiment.excused, until=it.crew.until_at
        )
        verdict.kills = it.crew.kills
    return verdict


@contextmanager
def on_stage(
    arena: Arena,
    contestant: Contestant,
    seed: int,
    *,
    people: int,
    quick: bool,
    events_url: str | None = None,
    handmade: bool = True,
) -> Iterator[Round]:
    """A round with an empty shop, a sandbox and a crew that waits to be started.

    `events_url`: where the sandbox reports to. `handmade`: with a hand-off that is written by hand, not by dbt.
    """
    folder = Path(tempfile.mkdtemp(prefix="winback-faults-"))
    push_keys = folder / PUSH_KEYS
    with (
        arena.database(handmade=handmade) as url,
        Sandbox(seed=seed, events_url=events_url, push_keys=push_keys) as sandbox,
        shops.opened(url) as shop,
        crew(contestant, url, sandbox, folder, seed) as hands,
    ):
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # requests that still hang at a round's end
        sandbox.set_clock(SEND_AT)
        yield Round(url, shop, sandbox, hands, people, quick, hands.dice, folder)
    shutil.rmtree(folder)  # kept when the round broke: the workers' last words are in it
