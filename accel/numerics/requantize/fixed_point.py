"""Requantization in integers: a scale is an integer factor and a number of places to shift by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import IntArray
from accel.numerics.mac import Int64Array
from accel.numerics.qtype import QType
from accel.numerics.requantize.rounding import FIRST_SHIFT, Rounding, scale
from accel.numerics.requantize.unit import Words, by_blocks

SHIFT_BITS = 6
"""Of the number of places in a word."""
_SLACK = 1e-5
"""By how much, in powers of two, the largest scale of a layer may pass a power of two and still share its exponent."""


class ScaleRule(Enum):
    """How a scale becomes a factor and a shift."""

    NEAREST = "the nearest factor, normalized"
    """The leading bit of the factor is 1. Without a factor: the nearest power of two, the larger one of two as near."""
    ABOVE = "the power of two at or above"
    SHARED = "one shift for a layer, which its largest scale decides"


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """``clamp(round(acc * factor / 2^shift) + zero_point)``; a word is ``shift * 2^factor_bits + factor``."""

    name: str
    meaning: str
    factor_bits: int
    """Of the factor, which is not negative; 0: there is none, only a shift."""
    rounding: Rounding
    rule: ScaleRule = ScaleRule.NEAREST
    twice: bool = False
    """Shift by 31 places first, rounding half up, and then by the others."""

    @property
    def word_bits(self) -> int:
        """See ``Requantizer``."""
        return SHIFT_BITS + self.factor_bits

    @property
    def largest_shift(self) -> int:
        """Places."""
        return 2 * FIRST_SHIFT if self.twice else (1 << SHIFT_BITS) - 1

    def problem(self, multiplier: npt.ArrayLike) -> str:
        """See ``Requantizer``."""
        scales = np.asarray(multiplier, np.float64).ravel()
        wrong = scales[~(np.isfinite(scales) & (scales > 0))]
        if wrong.size:
            return f"its scale is {wrong[0]:g}, and {self.name} takes positive finite ones"
        _, shifts = self._encoded(scales)
        beyond = scales[(shifts < 0) | (shifts > self.largest_shift)]
        if not beyond.size:
            return ""
        width = max(self.factor_bits, 1)
        return (
            f"its scale is {beyond[0]:g}, and {self.name} takes those from about "
            f"{2.0 ** (width - 1 - self.largest_shift):.2g} to {2.0 ** (width if self.factor_bits else 0):.2g}"
        )

    def encode(self, multiplier: npt.ArrayLike) -> Words:
        """See ``Requantizer``."""
        if problem := self.problem(multiplier):
            raise ValueError(problem)
        factors, shifts = self._encoded(np.asarray(multiplier, np.float64))
        return (shifts << self.factor_bits) | (factors if self.factor_bits else 0)

    def decode(self, words: Words) -> npt.NDArray[np.float64]:
        """See ``Requantizer``."""
        factors, shifts = self.parts(words)
        return np.ldexp(factors.astype(np.float64), -shifts)

    def parts(self, words: Words) -> tuple[Int64Array, Int64Array]:
        """Factors and shifts."""
        words = np.asarray(words, np.int64)
        shifts = words >> self.factor_bits
        return (words & ((1 << self.factor_bits) - 1) if self.factor_bits else np.ones_like(words)), shifts

    def apply(
        self, acc: IntArray, words: Words, zero_point: int, qtype: QType, clamp: tuple[int, int] | None = None
    ) -> IntArray:
        """See ``Requantizer``."""
        low, high = (qtype.min, qtype.max) if clamp is None else clamp
        factors, shifts = self.parts(words)
        normalized = self.factor_bits and self.rule is not ScaleRule.SHARED
        least_factor = 1 << (self.factor_bits - 1) if normalized else 1

        def work(sums: IntArray) -> Int64Array:
            steps = scale(sums, factors, shifts, self.rounding, self.twice, least_factor)
            return np.clip(steps, low - zero_point, high - zero_point) + zero_point

        return by_blocks(acc, qtype, work)

    def _encoded(self, scales: npt.NDArray[np.float64]) -> tuple[Int64Array, Int64Array]:
        """Factors and shifts of positive scales; shifts may be out of range."""
        if self.rule is ScaleRule.SHARED:
            return self._shared(scales)
        fractions, exponents = np.frexp(scales)
        if self.rule is ScaleRule.ABOVE:
            return np.ones(scales.shape, np.int64), np.asarray((fractions == 0.5) - exponents, np.int64)
        if not self.factor_bits:
            return np.ones(scales.shape, np.int64), np.asarray((fractions < 0.75) - exponents, np.int64)
        # frexp's fractions lie in [0.5, 1). One that rounds to 1 is 0.5 of the next power of two.
        factors = np.floor(fractions * 2.0**self.factor_bits + 0.5)
        carries = factors == 2.0**self.factor_bits
        factors = np.where(carries, factors / 2, factors)
        return factors.astype(np.int64), np.asarray(self.factor_bits - exponents - carries, np.int64)

    def _shared(self, scales: npt.NDArray[np.float64]) -> tuple[Int64Array, Int64Array]:
        """LLSQ's ``truncation`` (models/_modules/_quan_base.py), for scales that are positive.

        ``il = ceil(log2(max) + 1)``, and each scale is ``clamp(rne(scale * 2^(8 - il)))`` steps of ``2^(il - 8)``.
        """
        bits = self.factor_bits + 1
        shift = bits - ceil(log2(float(scales.max())) + 1 - _SLACK)
        factors = np.clip(np.rint(np.ldexp(scales, shift)), 0, (1 << self.factor_bits) - 1)
        return factors.astype(np.int64), np.full(scales.shape, shift, np.int64)
