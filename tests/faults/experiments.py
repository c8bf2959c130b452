"""Everything that is played, in the order of the table."""

from __future__ import annotations

from tests.faults import building, changes, codes, crash, delivery, pushes, webhooks
from tests.faults.rounds import Experiment

EXPERIMENTS: tuple[Experiment, ...] = (
    *delivery.EXPERIMENTS,
    *pushes.EXPERIMENTS,
    *changes.EXPERIMENTS,
    *codes.EXPERIMENTS,
    *crash.EXPERIMENTS,
    *webhooks.EXPERIMENTS,
    *building.EXPERIMENTS,
)
BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}
