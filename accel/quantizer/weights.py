"""Weights and biases: from float32 to integers with a scale for each output channel, or one for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accel.errors import AccelError
from accel.numerics.encoding import FloatArray, IntArray
from accel.numerics.qtype import BIPOLAR, QType
from accel.quantizer.options import Bounds, QuantizeOptions
from accel.quantizer.rounding import ROUNDINGS

_MSE_STEPS = 64
"""Candidates for a channel's bound: sixty-fourths of its largest weight."""
_BLOCK_ELEMENTS = 1 << 15
"""Weights whose candidates are compared at a time, so that they stay in the first cache levels."""
_SMALLEST_NORMAL = np.finfo(np.float32).tiny


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedWeight:
    """Integers with zero point 0."""

    values: IntArray
    """Output channels first."""
    qtype: QType
    scale: FloatArray
    """One for each output channel, or one."""

    def real(self) -> FloatArray:
        """What the integers mean."""
        scale = self.scale.reshape(-1, *[1] * (self.values.ndim - 1))
        return np.asarray(self.values.astype(np.float32) * scale, np.float32)


def weight_scale(real: FloatArray, bits: int, options: QuantizeOptions, where: str) -> tuple[FloatArray, list[int]]:
    """The scale of each output channel, or of all; and the channels that hold nothing but zeros.

    Any scale represents such a channel. It gets the layer's largest, in which its bias is not finer than the others'.

    Parameters
    ----------
    real
        Output channels first.

    Raises
    ------
    AccelError
        A scale that is no normal float32, or one bit for a channel of zeros.
    """
    rows = real.reshape(len(real) if options.granularity == "channel" else 1, -1)
    largest = np.abs(rows).max(axis=1)
    zeros = np.flatnonzero(largest == 0)
    scale = _bound(rows, largest, bits, options) / np.float32(largest_integer(bits))
    if zeros.size and bits == 1:
        raise AccelError(
            f"all weights of channel {zeros[0]} are zero, which one bit does not hold", where, "give the layer 2 bits"
        )
    scale[zeros] = scale.max() if scale.max() > 0 else 1
    small = np.flatnonzero(scale < _SMALLEST_NORMAL)
    if small.size:
        raise AccelError(
            f"the weights of channel {small[0]} reach {largest[small[0]]:.3g}, and their scale is no normal float32",
            where,
            "prune that channel, or scale it up in training",
        )
    return scale, [] if rows.shape[0] == 1 and len(real) > 1 else zeros.tolist()


def largest_integer(bits: int) -> int:
    """Weights are symmetric: -127 to 127 at 8 bits, -1 and 1 at 2 bits and at 1 bit."""
    return max((1 << (bits - 1)) - 1, 1)


def quantize_weight(real: FloatArray, bits: int, scale: FloatArray, options: QuantizeOptions) -> QuantizedWeight:
    """``clamp(round(w / scale))``, symmetric; at one bit -1 and 1, by the sign.

    Parameters
    ----------
    real
        Output channels first.
    scale
        One for each of them, or one.
    """
    rows = real.reshape(len(scale), -1)
    qtype = BIPOLAR if bits == 1 else QType(bits, signed=True)
    top = largest_integer(bits)
    if bits == 1:
        values = np.where(rows < 0, np.float32(-1), np.float32(1))
    else:
        values = np.clip(ROUNDINGS[options.rounding](rows / scale[:, None]), -top, top)
    return QuantizedWeight(values.astype(qtype.dtype).reshape(real.shape), qtype, scale)


def _bound(rows: FloatArray, largest: FloatArray, bits: int, options: QuantizeOptions) -> FloatArray:
    kind: Bounds = options.weight_bounds
    if kind == "percentile":
        return np.quantile(np.abs(rows), options.percentile / 100, axis=1, method="higher").astype(np.float32)
    if kind == "mse" and bits == 1:
        # Of sign(w) times a scale, the mean magnitude makes the least squared error (Rastegari et al., "XNOR-Net").
        return np.asarray(np.abs(rows).mean(axis=1), np.float32)
    if kind == "mse":
        return _least_squares(rows, largest, largest_integer(bits), options)
    return largest.copy()


def _least_squares(rows: FloatArray, largest: FloatArray, top: int, options: QuantizeOptions) -> FloatArray:
    """Of ``_MSE_STEPS`` shares of each row's largest magnitude, the one that rounds and clips it best."""
    shares = (np.arange(_MSE_STEPS, 0, -1) / _MSE_STEPS).astype(np.float32)
    best = largest.copy()
    together = max(1, _BLOCK_ELEMENTS // rows.shape[1])
    rounded = ROUNDINGS[options.rounding]
    for start in range(0, len(rows), together):
        block, peak = rows[start : start + together], largest[start : start + together]
        least = np.full(len(block), np.inf, np.float32)
        for share in shares:
            bound = peak * share
            scale = np.where(bound > 0, bound / np.float32(top), 1)[:, None].astype(np.float32)
            steps = np.clip(rounded(block / scale), -top, top)
            difference = steps * scale - block
            error = np.einsum("ij,ij->i", difference, difference)
            better = error < least
            least[better] = error[better]
            best[start : start + together][better] = bound[better]
    return best
