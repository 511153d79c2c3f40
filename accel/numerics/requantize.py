"""Requantizers: how an accumulator becomes an output integer. Each is a named formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import FloatArray, IntArray
from accel.numerics.qtype import QType

Requantizer = Callable[[IntArray, FloatArray, int, QType, tuple[int, int] | None], IntArray]
"""(accumulators, multiplier, output zero point, output type, clamp) -> output integers."""

_BLOCK_ELEMENTS = 1 << 15
"""Elements scaled at a time, so that the float32 copy stays in the first cache levels."""


def multiplier(input_scale: float, weight_scale: npt.ArrayLike, output_scale: float) -> npt.NDArray[np.float32]:
    """``(input scale * weight scale) / output scale``, each step rounded to float32.

    The order is onnxruntime's; ``input * (weight / output)`` differs in the last bit now and then.
    """
    product = np.float32(input_scale) * np.asarray(weight_scale, np.float32)
    return np.asarray(product / np.float32(output_scale), np.float32)


def float32_rne(
    acc: IntArray,
    multiplier: npt.ArrayLike,
    zero_point: int,
    qtype: QType,
    clamp: tuple[int, int] | None = None,
) -> IntArray:
    """``RNE(clamp(f32(acc) * multiplier)) + zero_point``: onnxruntime's rule, and LiteRT's XNNPACK kernels'.

    Parameters
    ----------
    acc
        Accumulators, bias included; any shape.
    multiplier
        float32, one value or one for each entry of the last axis of ``acc``.
    zero_point, qtype
        Of the output; at most 16 bits.
    clamp
        Inclusive output bounds narrower than the type's; None for the type's.
    """
    low, high = (qtype.min, qtype.max) if clamp is None else clamp
    scales = np.asarray(multiplier, np.float32)
    columns = acc.shape[-1] if acc.ndim else 1
    flat = acc.reshape(-1, columns)
    out = np.empty(flat.shape, qtype.dtype)
    rows = max(1, _BLOCK_ELEMENTS // max(columns, 1))
    lowest, highest, shift = np.float32(low - zero_point), np.float32(high - zero_point), np.float32(zero_point)
    for start in range(0, len(flat), rows):
        block = flat[start : start + rows].astype(np.float32)
        with np.errstate(over="ignore"):
            block *= scales
        np.clip(block, lowest, highest, out=block)
        np.rint(block, out=block)
        block += shift
        out[start : start + rows] = block
    return out.reshape(acc.shape)


REQUANTIZERS: dict[str, Requantizer] = {"float32_rne": float32_rne}
"""By the name that a machine's description uses."""
