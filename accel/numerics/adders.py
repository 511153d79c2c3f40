"""Residual additions in integers: two activations of different scales become one of a third.

Below, a and b are integers less their zero points. Every adder multiplies them by integers, shifts, rounds, and only
then adds the result's zero point and clamps, so that nothing depends on where the zero points lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, isfinite, ldexp
from typing import Protocol

import numpy as np

from accel.numerics.encoding import Encoding, IntArray
from accel.numerics.mac import Int64Array
from accel.numerics.requantize.fixed_point import FixedPoint
from accel.numerics.requantize.rounding import FIRST_SHIFT, Rounding, scale, shift_right
from accel.numerics.requantize.units import REQUANTIZERS

FLOAT32 = "float32"
"""What machines call the adder that is none of these: onnxruntime's float32 formulas, ``elementwise.Sum``."""
SHIFT_BITS = 6
_BYTE_BITS = 8

Bounds = tuple[int, int]


class Adder(Protocol):
    """A unit that adds two activations, by their encodings and the result's."""

    def __hash__(self) -> int:
        """Units are values, and parts of keys."""
        ...

    @property
    def name(self) -> str:
        """As a machine's description says it."""
        ...

    @property
    def meaning(self) -> str:
        """What it does, in a few words."""
        ...

    def problem(self, a: Encoding, b: Encoding, to: Encoding) -> str:
        """Why it cannot add these, as the end of a sentence; empty if it can."""
        ...

    def ratios(self, a: Encoding, b: Encoding, to: Encoding) -> tuple[float, float]:
        """What it multiplies a and b by in the end: nearly ``a.scale / to.scale`` and ``b.scale / to.scale``."""
        ...

    def apply(
        self, x: IntArray, y: IntArray, a: Encoding, b: Encoding, to: Encoding, clamp: Bounds | None = None
    ) -> IntArray:
        """The sums of two tensors of one shape.

        Parameters
        ----------
        x, y
            Integers of ``a`` and of ``b``, of 16 bits at most, zero points included.
        clamp
            Inclusive output bounds; None for the type's range.
        """
        ...


@dataclass(frozen=True, slots=True)
class SharedShift:
    """``clamp(round((a * factor_a + b * factor_b) / 2^shift) + zero_point)``.

    The shift is such that the larger factor has ``factor_bits`` bits; both are rounded half to even.
    """

    name: str
    meaning: str
    factor_bits: int
    rounding: Rounding
    carries: bool = False
    """A larger factor that rounds up to the next power of two stays so, one bit longer, instead of taking the next
    shift."""

    def problem(self, a: Encoding, b: Encoding, to: Encoding) -> str:
        """See ``Adder``."""
        if problem := _not_positive(self.name, a, b, to):
            return problem
        if 0 <= self.factors(a, b, to)[2] < 1 << SHIFT_BITS:
            return ""
        least, greatest = ldexp(1, self.factor_bits - (1 << SHIFT_BITS)), ldexp(1, self.factor_bits)
        return (
            f"{_said(a, b, to)}, and {self.name} takes those of which the larger one is about {least:.2g} to "
            f"{greatest:.2g}"
        )

    def factors(self, a: Encoding, b: Encoding, to: Encoding) -> tuple[int, int, int]:
        """Of a and b, and the shift, which may be out of range; a factor of 0 makes its operand vanish."""
        ratios = _ratios(a, b, to)
        shift = self.factor_bits - frexp(max(ratios))[1]
        if not self.carries and round(ldexp(max(ratios), shift)) == 1 << self.factor_bits:
            shift -= 1
        first, second = (round(ldexp(ratio, shift)) for ratio in ratios)
        return first, second, shift

    def ratios(self, a: Encoding, b: Encoding, to: Encoding) -> tuple[float, float]:
        """See ``Adder``."""
        first, second, shift = self.factors(a, b, to)
        return ldexp(first, -shift), ldexp(second, -shift)

    def apply(
        self, x: IntArray, y: IntArray, a: Encoding, b: Encoding, to: Encoding, clamp: Bounds | None = None
    ) -> IntArray:
        """See ``Adder``."""
        first, second, shift = self.factors(a, b, to)
        total = _centred(x, a) * first + _centred(y, b) * second
        if to.qtype.bipolar:
            return _finished(_signs(total), to, clamp)
        return _finished(shift_right(total, np.array(shift), self.rounding), to, clamp)


@dataclass(frozen=True, slots=True)
class CommonScale:
    """LiteRT's: operands become multiples of a fine common scale, and their sum one of the result's.

    With S twice the larger operand's scale and L the left shift, 20 for bytes and 15 for wider operands:
    ``clamp(m(m(a * 2^L, a.scale / S) + m(b * 2^L, b.scale / S), S / (2^L * to.scale)) + zero_point)``, where m
    multiplies by a 31-bit factor and rounds twice, as the requantizer ``unit`` does. S is a power of two times a
    float32 and the quotients are float64.
    """

    name: str
    meaning: str
    unit: FixedPoint

    def problem(self, a: Encoding, b: Encoding, to: Encoding) -> str:
        """See ``Adder``."""
        if problem := _not_positive(self.name, a, b, to):
            return problem
        operands, result, left = _common_scale(a, b, to)
        # A factor below 1 shifts by its own 31 places at least.
        encodable = not self.unit.problem([*operands, result])
        if encodable and int(self.unit.parts(self.unit.encode(result))[1]) >= FIRST_SHIFT:
            return ""
        least, greatest = 2.0 ** (left - 2 - FIRST_SHIFT), 2.0 ** (left - 1)
        return (
            f"{_said(a, b, to)}, and {self.name} takes those of which the larger one is about {least:.2g} to "
            f"{greatest:.2g} and at most {2.0**FIRST_SHIFT:.2g} times the other"
        )

    def ratios(self, a: Encoding, b: Encoding, to: Encoding) -> tuple[float, float]:
        """See ``Adder``."""
        operands, result, left = _common_scale(a, b, to)
        first, second, last = self.unit.decode(self.unit.encode([*operands, result])).tolist()
        return ldexp(first * last, left), ldexp(second * last, left)

    def apply(
        self, x: IntArray, y: IntArray, a: Encoding, b: Encoding, to: Encoding, clamp: Bounds | None = None
    ) -> IntArray:
        """See ``Adder``."""
        operands, result, left = _common_scale(a, b, to)
        total = self._scaled(_centred(x, a) << left, operands[0]) + self._scaled(_centred(y, b) << left, operands[1])
        if to.qtype.bipolar:
            return _finished(_signs(total), to, clamp)
        return _finished(self._scaled(total, result), to, clamp)

    def _scaled(self, values: Int64Array, by: float) -> Int64Array:
        """``values`` keep within 32 bits: 16 bits and a left shift by 15, or 8 and 20."""
        factor, shift = self.unit.parts(self.unit.encode(by))
        return scale(values, factor, shift, self.unit.rounding, self.unit.twice, 1 << (self.unit.factor_bits - 1))


def _ratios(a: Encoding, b: Encoding, to: Encoding) -> tuple[float, float]:
    """Scales of the operands in units of the result's, rounded to float32."""
    with np.errstate(all="ignore"):
        return tuple(float(np.float32(by.scale) / np.float32(to.scale)) for by in (a, b))  # type: ignore[return-value]


def _common_scale(a: Encoding, b: Encoding, to: Encoding) -> tuple[tuple[float, float], float, int]:
    """What ``CommonScale`` multiplies the operands and their sum by, and its left shift."""
    left = left_shift(max(a.qtype.bits, b.qtype.bits))
    common = 2 * max(a.scale, b.scale)
    return (a.scale / common, b.scale / common), common / ldexp(to.scale, left), left


def left_shift(bits: int) -> int:
    """Of ``CommonScale``, for operands of so many bits."""
    return 20 if bits <= _BYTE_BITS else 15


def _not_positive(name: str, a: Encoding, b: Encoding, to: Encoding) -> str:
    if all(isfinite(value) and value > 0 for value in (*_ratios(a, b, to), a.scale, b.scale, to.scale)):
        return ""
    return f"{_said(a, b, to)}, and {name} takes positive finite ones"


def _said(a: Encoding, b: Encoding, to: Encoding) -> str:
    first, second = _ratios(a, b, to)
    return f"its operands' scales are {first:g} and {second:g} times its result's"


def _centred(values: IntArray, by: Encoding) -> Int64Array:
    return values.astype(np.int64) - by.zero_point


def _signs(total: Int64Array) -> Int64Array:
    """What a bipolar result is, whatever its scale."""
    return np.where(total >= 0, np.int64(1), np.int64(-1))


def _finished(steps: Int64Array, to: Encoding, clamp: Bounds | None) -> IntArray:
    low, high = (to.qtype.min, to.qtype.max) if clamp is None else clamp
    return np.asarray(np.clip(steps, low - to.zero_point, high - to.zero_point) + to.zero_point, to.qtype.dtype)


def _double_rounding() -> FixedPoint:
    unit = REQUANTIZERS["q31_double_rounding"]
    assert isinstance(unit, FixedPoint)
    return unit


_ADDERS: tuple[Adder, ...] = (
    # LiteRT's built-in kernels: AddFunc in tensorflow/lite/kernels/internal/reference/integer_ops/add.h, its constants
    # in Prepare of tensorflow/lite/kernels/add.cc.
    CommonScale(
        "q31_double_rounding",
        "multiplies operands and sum by 31 bits, rounding each product twice",
        unit=_double_rounding(),
    ),
    # XNNPACK: src/qs8-vadd/scalar.c.in, its constants in xnn_init_qs8_add_minmax_scalar_params of
    # src/microparams-init.c. There the rounding's half and both zero points are one bias, and ratios are 2^-10 to 2^8.
    SharedShift(
        "q21_half_up",
        "multiplies each operand by 21 bits and shifts the sum once, rounding half up",
        factor_bits=21,
        rounding=Rounding.HALF_UP,
        carries=True,
    ),
    # NVDLA's SDP with element-wise operands: signed factors of 16 bits for the main data (X_mul in
    # cmod/hls/sdp/sdp_x.cpp) and the operand (sdp_y_cvt.cpp), neither shifted, their sum (Y_alu in sdp_y_core.cpp), and
    # the output converter's shift. There the zero point is the converter's offset, in front of the shift.
    SharedShift(
        "mantissa16_half_away",
        "multiplies each operand by 16 signed bits and shifts the sum once, rounding half away",
        factor_bits=15,
        rounding=Rounding.HALF_AWAY,
    ),
)

ADDERS: dict[str, Adder] = {adder.name: adder for adder in _ADDERS}
"""The integer ones, by the name that a machine's description uses."""
