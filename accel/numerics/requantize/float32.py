"""Requantization in float32: the scale is a float32 number, and the product is rounded half to even twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import FloatArray, IntArray
from accel.numerics.qtype import QType
from accel.numerics.requantize.unit import Words, by_blocks


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
    lowest, highest, shift = np.float32(low - zero_point), np.float32(high - zero_point), np.float32(zero_point)

    def work(sums: IntArray) -> FloatArray:
        block = sums.astype(np.float32)
        with np.errstate(over="ignore"):
            block *= scales
        np.clip(block, lowest, highest, out=block)
        np.rint(block, out=block)
        block += shift
        return block

    return by_blocks(acc, qtype, work)


@dataclass(frozen=True, slots=True)
class Float32:
    """``float32_rne``, its words the bits of float32 numbers."""

    name: str = "float32_rne"
    meaning: str = "multiplies float32 numbers and rounds half to even"
    word_bits: int = 32

    def problem(self, multiplier: npt.ArrayLike) -> str:
        """See ``Requantizer``: every finite scale has a word."""
        scales = np.asarray(multiplier, np.float64).ravel()
        wrong = scales[~np.isfinite(scales)]
        return f"its scale is {wrong[0]:g}" if wrong.size else ""

    def encode(self, multiplier: npt.ArrayLike) -> Words:
        """See ``Requantizer``."""
        if problem := self.problem(multiplier):
            raise ValueError(problem)
        return np.asarray(np.asarray(multiplier, np.float32).view(np.uint32), np.int64)

    def decode(self, words: Words) -> npt.NDArray[np.float64]:
        """See ``Requantizer``."""
        return _scales(words).astype(np.float64)

    def apply(
        self, acc: IntArray, words: Words, zero_point: int, qtype: QType, clamp: tuple[int, int] | None = None
    ) -> IntArray:
        """See ``Requantizer``."""
        return float32_rne(acc, _scales(words), zero_point, qtype, clamp)


def _scales(words: Words) -> FloatArray:
    return np.asarray(words).astype(np.uint32).view(np.float32)
