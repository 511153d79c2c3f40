"""Activations: from what calibration saw to a type, a scale and a zero point."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.numerics.encoding import Encoding
from accel.numerics.qtype import QType
from accel.quantizer.options import QuantizeOptions, Ranges
from accel.quantizer.scales import are_powers_of_two, power_of_two
from accel.quantizer.statistics import Statistics

Float64Array = npt.NDArray[np.float64]
_MSE_STEPS = 40
"""Candidates for each end of a range: fortieths of what was seen."""
_WHOLE = 1e-6
"""A share of the values that should be a whole number of them is, to that much."""
_SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Range:
    """The real values, zero among them, that integers have to reach."""

    low: float
    high: float


def encode(seen: Statistics, bits: int, options: QuantizeOptions, name: str) -> Encoding:
    """The encoding of an activation of ``bits`` bits.

    Parameters
    ----------
    seen
        On the calibration images.
    name
        Of the tensor, for errors.

    Raises
    ------
    AccelError
        A scale that is no normal float32, or one bit for values of both signs.
    """
    ranges: Ranges = "unsigned" if options.bounds == "aqt" else options.ranges
    signed = ranges == "symmetric" or (ranges == "unsigned" and seen.low < 0)
    if signed and bits == 1:
        if seen.low < 0:
            raise AccelError(
                "one bit and zero point 0 do not hold values of both signs", name, "ask for asymmetric ranges or 2 bits"
            )
        signed = False
    qtype = QType(bits, signed)
    if seen.low == seen.high == 0:
        return Encoding(qtype, 1.0, 0)
    chosen = _range(seen, qtype, ranges, options)
    steps = 1 << bits if options.bounds == "aqt" and not signed else qtype.max
    if ranges == "asymmetric":
        scale = _scale((chosen.high - chosen.low) / qtype.max, options, name)
        zero_point = int(np.clip(np.rint(-chosen.low / scale), qtype.min, qtype.max))
        return Encoding(qtype, scale, zero_point)
    return Encoding(qtype, _scale(max(-chosen.low, chosen.high) / steps, options, name), 0)


def _scale(real: float, options: QuantizeOptions, name: str) -> float:
    with np.errstate(over="ignore"):
        scale = float(np.float32(real))
        scale = power_of_two(scale) if are_powers_of_two(options.scales) else scale
    if not isfinite(scale) or scale < _SMALLEST_NORMAL:
        raise AccelError(
            f"its calibrated values lead to the scale {real:.3g}, which is no normal float32",
            name,
            "scale the network's input as in training",
        )
    return scale


def _range(seen: Statistics, qtype: QType, ranges: Ranges, options: QuantizeOptions) -> Range:
    symmetric = ranges != "asymmetric"
    match options.bounds:
        case "max_abs":
            return Range(seen.low, seen.high)
        case "aqt":
            return Range(min(seen.sum_of_lows / seen.images, 0.0), max(seen.sum_of_highs / seen.images, 0.0))
        case "percentile":
            return _percentile(seen, options.percentile, symmetric)
        case "mse":
            return _least_squares(seen, qtype, symmetric)


def _percentile(seen: Statistics, percentile: float, symmetric: bool) -> Range:
    """Leave ``percentile`` of all values unclipped, the rest half on each side (or on both sides of a magnitude).

    Accurate to a bin of the histogram; never beyond what was seen.
    """
    centres, counts = seen.histogram()
    outside = seen.count * (100 - percentile) / 100 + _WHOLE
    half = seen.bin_width / 2
    if symmetric:
        order = np.argsort(np.abs(centres), kind="stable")
        bound = _reach(np.abs(centres)[order], counts[order], outside) + half
        return Range(max(-bound, seen.low), min(bound, seen.high))
    positive, negative = centres > 0, centres < 0
    high = _reach(centres[positive], counts[positive], outside / 2) + half if positive.any() else 0.0
    low = -_reach(-centres[negative][::-1], counts[negative][::-1], outside / 2) - half if negative.any() else 0.0
    return Range(max(low, seen.low), min(high, seen.high))


def _reach(magnitudes: Float64Array, counts: Float64Array, outside: float) -> float:
    """The least magnitude (they ascend) beyond which at most ``outside`` values lie."""
    beyond = counts.sum() - np.cumsum(counts)
    return float(magnitudes[int(np.argmax(beyond <= outside))])


def _least_squares(seen: Statistics, qtype: QType, symmetric: bool) -> Range:
    """The candidate whose rounding and clipping make the least squared error over the histogram."""
    centres, counts = seen.histogram()
    shares = np.arange(1, _MSE_STEPS + 1) / _MSE_STEPS
    if symmetric:
        bound = max(-seen.low, seen.high)
        errors = [_error(centres, counts, bound * share / qtype.max, qtype, 0) for share in shares]
        best = bound * shares[int(np.argmin(errors))]
        return Range(max(-best, seen.low), min(best, seen.high)) if qtype.signed else Range(0.0, best)
    lows = seen.low * shares if seen.low < 0 else np.zeros(1)
    highs = seen.high * shares if seen.high > 0 else np.zeros(1)
    ranges = [Range(float(low), float(high)) for low in lows for high in highs]
    errors = []
    for candidate in ranges:
        scale = (candidate.high - candidate.low) / qtype.max
        errors.append(_error(centres, counts, scale, qtype, int(np.rint(-candidate.low / scale))))
    return ranges[int(np.argmin(errors))]


def _error(centres: Float64Array, counts: Float64Array, scale: float, qtype: QType, zero_point: int) -> float:
    """The squared error of values at ``centres`` as integers of ``scale`` and ``zero_point``."""
    steps = np.rint(centres / scale)
    np.clip(steps, qtype.min - zero_point, qtype.max - zero_point, out=steps)
    steps *= -scale
    steps += centres
    np.multiply(steps, steps, out=steps)
    return float(steps @ counts)
