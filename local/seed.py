"""Draws from a seed, for everything the sample data has to make up.

A draw depends on the field's name and the row's id alone, not on how many rows were drawn before it or on a library's
generator: the same household has the same name in every load, on every machine, with every version of NumPy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = "winback sample data 1"
"""Change it and every made-up person changes; the purchases do not."""

Ids = NDArray[np.uint64]
Draws = NDArray[np.float64]


def digest(*parts: object) -> bytes:
    """32 bytes that belong to these parts and the seed: key material, tokens."""
    return hashlib.sha256("|".join([SEED, *map(str, parts)]).encode()).digest()


def draw(field: str, ids: Ids) -> Draws:
    """One number in [0, 1) an id (splitmix64 of the id, offset by the field)."""
    offset = np.uint64(int.from_bytes(digest(field)[:8], "big"))
    with np.errstate(over="ignore"):
        z = ids * np.uint64(0x9E3779B97F4A7C15) + offset
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    drawn: Draws = (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return drawn


def whole(field: str, ids: Ids, low: int, high: int) -> NDArray[np.int64]:
    """One whole number in [low, high) an id."""
    drawn: NDArray[np.int64] = (low + np.floor(draw(field, ids) * (high - low))).astype(np.int64)
    return drawn


def choose(field: str, ids: Ids, options: Sequence[Any], weights: Sequence[float] | None = None) -> NDArray[Any]:
    """One of the options an id, by weight."""
    shares = np.cumsum(np.asarray(weights if weights is not None else [1.0] * len(options), dtype=np.float64))
    index = np.searchsorted(shares / shares[-1], draw(field, ids), side="right")
    chosen: NDArray[Any] = np.asarray(options, dtype=object)[np.minimum(index, len(options) - 1)]
    return chosen


def where(condition: Any, then: Any, otherwise: Any) -> NDArray[Any]:
    """`numpy.where` for columns that may hold None."""
    chosen: NDArray[Any] = np.where(condition, then, otherwise)
    return chosen
