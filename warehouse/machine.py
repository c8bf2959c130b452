"""The machine's own seconds: for how long something took, never for when."""

from __future__ import annotations

import time

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds since some moment, which only ever grow. Those for which the machine slept count, too, where it tells
    (Linux): `time.monotonic()` stands still meanwhile, and a text must not leave at night for it."""
    return time.clock_gettime(_BOOT)
