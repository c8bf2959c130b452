"""Everything that is played, in the order of the table."""

from __future__ import annotations

from tests.faults import delivery
from tests.faults.rounds import Experiment

EXPERIMENTS: tuple[Experiment, ...] = (*delivery.EXPERIMENTS,)
BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}
