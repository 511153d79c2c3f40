"""Scales that a requantizer can represent.

A requantizer multiplies sums by ``input scale * weight scale / output scale``. Input and output scales belong to
tensors that several layers share; so each layer moves its weight scales until the ratio is one that the unit has.
"""

from __future__ import annotations

from math import frexp, ldexp

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.numerics.encoding import FloatArray
from accel.numerics.requantize import REQUANTIZERS, Requantizer, multiplier

POWER_OF_TWO = "power_of_two"
_UNITS = {
    "float32": "float32_rne",
    "q31": "q31_half_up",
    "mantissa16": "mantissa16_half_away",
    "mantissa8": "mantissa8_half_away",
    "mantissa8_shared": "shared_exponent8",
}
"""A unit that represents what the name says; units that differ in rounding alone represent the same scales."""
_SHIFTS = tuple(name for name in REQUANTIZERS if name.startswith("shift_"))
SCALES = (*_UNITS, POWER_OF_TWO, *REQUANTIZERS)
"""Every name, those of machines' requantizers among them."""
_ROUNDS = 64
"""At most, until a unit's own rounding changes nothing more: a layer's largest scale decides about a shared exponent,
and scales that are too small for it double until it has them."""
_NEIGHBOURS = 3
"""Float32 values to each side that may give the ratio, which is rounded twice, more exactly."""


def are_powers_of_two(scales: str) -> bool:
    """Whether every scale, of activations and weights, is to be a power of two."""
    return scales == POWER_OF_TWO or scales in _SHIFTS


def power_of_two(scale: float) -> float:
    """The least power of two that is not below ``scale``: LLSQ's ``2^ceil(log2 a)``.

    Examples
    --------
    >>> power_of_two(0.3), power_of_two(0.25)
    (0.5, 0.25)
    """
    mantissa, exponent = frexp(scale)
    return ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent)


def representable(scale: FloatArray, input_scale: float, output_scale: float, scales: str, where: str) -> FloatArray:
    """Weight scales near ``scale`` whose ratio a requantizer represents, to the last bit of float32 or one beside it.

    Parameters
    ----------
    scale
        One for each output channel, or one.
    scales
        One of ``SCALES``.
    where
        The layer, for errors.

    Raises
    ------
    AccelError
        A ratio that is beyond what the unit has.
    """
    if are_powers_of_two(scales):
        scale = np.array([power_of_two(float(value)) for value in scale], np.float32)
    if scales == POWER_OF_TWO:
        return scale
    unit = REQUANTIZERS[_UNITS.get(scales, scales)]
    ratio = multiplier(input_scale, scale, output_scale).astype(np.float64)
    if problem := unit.problem(ratio):
        raise AccelError(problem, where, "choose other bounds, other bits, or scales that reach further")
    wanted = _nearest(unit, ratio)
    if np.array_equal(wanted, ratio):
        return scale
    candidates = _beside((wanted * output_scale / input_scale).astype(np.float32))
    misses = np.abs(multiplier(input_scale, candidates, output_scale) - wanted)
    return np.asarray(candidates[misses.argmin(axis=0), np.arange(len(scale))], np.float32)


def _nearest(unit: Requantizer, ratio: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What the unit makes of the ratios; never 0, to which a shared exponent rounds small ones."""
    for _ in range(_ROUNDS):
        made = unit.decode(unit.encode(ratio))
        closer = np.where(made == 0, 2 * ratio, made)
        if np.array_equal(closer, ratio):
            break
        ratio = closer
    return ratio


def _beside(values: FloatArray) -> FloatArray:
    """Each value with its float32 neighbours, along a new first axis."""
    rows = [values]
    for direction in (np.float32(0), np.float32(np.inf)):
        neighbour = values
        for _ in range(_NEIGHBOURS):
            neighbour = np.nextafter(neighbour, direction)
            rows.append(neighbour)
    return np.stack(rows)
