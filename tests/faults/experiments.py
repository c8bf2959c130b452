"""Everything that is played, in the order of the table."""

from __future__ import annotations

from tests.faults import changes, codes, delivery
from tests.faults.rounds import Experiment

EXPERIMENTS: tuple[Experiment, ...] = (*delivery.EXPERIMENTS, *changes.EXPERIMENTS, *codes.EXPERIMENTS)
BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}
