"""Where two tensors that should be equal differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accel.numerics.encoding import IntArray


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
