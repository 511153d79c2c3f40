"""How far two tensors are apart: mismatching integers, and the error of integers against real numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import IntArray

Reals = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Two tensors of one shape that should have been equal."""

    count: int
    """Elements that differ."""
    size: int
    """Elements in all."""
    first: tuple[int, ...]
    """Index of the first one that differs, in C order."""
    found: float
    expected: float
    largest: float
    """The largest absolute difference."""

    def __str__(self) -> str:
        place = ", ".join(map(str, self.first))
        return f"{self.count} of {self.size} differ, first at [{place}]: {self.found:g} instead of {self.expected:g}"


def mismatch(found: IntArray, expected: IntArray) -> Mismatch | None:
    """The difference between two tensors of one shape; None where every element is equal.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if found.shape != expected.shape:
        raise ValueError(f"shapes {found.shape} and {expected.shape} differ")
    different = found != expected
    count = int(np.count_nonzero(different))
    if count == 0:
        return None
    first = np.unravel_index(int(different.argmax()), found.shape)
    gaps = np.abs(found[different].astype(np.float64) - expected[different].astype(np.float64))
    return Mismatch(
        count,
        found.size,
        tuple(int(axis) for axis in first),
        found[first].item(),
        expected[first].item(),
        float(gaps.max()),
    )


def sqnr_db(reals: Reals, reference: Reals) -> float:
    """Signal to quantization noise: ``10 log10(sum(reference^2) / sum((reals - reference)^2))``; inf without noise."""
    signal = _energy(reference)
    noise = _energy(reals.astype(np.float64) - reference)
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def cosine(reals: Reals, reference: Reals) -> float:
    """Cosine of the angle between the two tensors as vectors; 1 where both are zero, 0 where one is."""
    lengths = math.sqrt(_energy(reals)) * math.sqrt(_energy(reference))
    if lengths == 0:
        return 1.0 if _energy(reals) == _energy(reference) else 0.0
    return float(np.vdot(reals.astype(np.float64), reference.astype(np.float64))) / lengths


def lsb_error(reals: Reals, reference: Reals, scale: float) -> tuple[float, float]:
    """Largest and mean absolute difference, in steps of ``scale``."""
    gaps = np.abs(reals.astype(np.float64) - reference)
    return float(gaps.max(initial=0.0)) / scale, (float(gaps.mean()) / scale if gaps.size else 0.0)


def _energy(values: Reals) -> float:
    flat = values.astype(np.float64).reshape(-1)
    return float(np.vdot(flat, flat))
