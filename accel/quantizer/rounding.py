"""Roundings of weights, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accel.numerics.encoding import FloatArray
from accel.quantizer.options import Rounding


def half_even(steps: FloatArray) -> FloatArray:
    """To the nearest integer, ties to the even one: what QuantizeLinear does."""
    return np.rint(steps)


def half_up(steps: FloatArray) -> FloatArray:
    """To the nearest integer, ties upwards: ``floor(x + 1/2)`` without rounding the sum first."""
    below = np.floor(steps)
    return below + (steps - below >= 0.5).astype(steps.dtype)


def floor(steps: FloatArray) -> FloatArray:
    """To the next integer below."""
    return np.floor(steps)


ROUNDINGS: dict[Rounding, Callable[[FloatArray], FloatArray]] = {
    "half_even": half_even,
    "half_up": half_up,
    "floor": floor,
}
