"""Digits: a wide operand in several pieces, each as wide as a multiplier takes.

An integer is the sum of its digits, each shifted to its place. All but the highest are plain binary; that one carries
the sign. The product of two integers is the sum of the products of their digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import IntArray
from accel.numerics.qtype import QType


@dataclass(frozen=True, slots=True)
class Digit:
    """One piece of an operand."""

    shift: int
    """Its place: of its lowest bit."""
    qtype: QType
    """Of the piece by itself."""

    def of(self, values: IntArray) -> IntArray:
        """This piece of each value.

        Examples
        --------
        >>> low, high = digits(QType(8, signed=True), 4)
        >>> low.of(np.array([-3, 100])).tolist(), high.of(np.array([-3, 100])).tolist()
        ([13, 4], [-1, 6])
        """
        shifted: npt.NDArray[np.int32] = values.astype(np.int32) >> np.int32(self.shift)
        if not self.qtype.signed:
            shifted &= np.int32(self.qtype.max)
        return shifted.astype(self.qtype.dtype)


def digits(qtype: QType, bits: int) -> tuple[Digit, ...]:
    """The pieces of ``bits`` bits, the lowest first; an operand that is not wider is its only one.

    Examples
    --------
    >>> [(digit.shift, str(digit.qtype)) for digit in digits(QType(10, signed=True), 4)]
    [(0, 'uint4'), (4, 'uint4'), (8, 'int2')]
    """
    if qtype.bits <= bits:
        return (Digit(0, qtype),)
    starts = range(0, qtype.bits, bits)
    return tuple(
        Digit(start, QType(min(bits, qtype.bits - start), qtype.signed and start + bits >= qtype.bits))
        for start in starts
    )


@dataclass(frozen=True, slots=True)
class Pass:
    """One turn of a layer: one digit of every weight meets one digit of every activation."""

    weight: Digit
    activation: Digit

    @property
    def shift(self) -> int:
        """By which its sums are moved before they join the accumulators."""
        return self.weight.shift + self.activation.shift


def passes(weight: QType, activation: QType, weight_bits: int, activation_bits: int) -> tuple[Pass, ...]:
    """All pairs of digits, the activation's lowest first; operands that are not wider are one pass.

    Examples
    --------
    >>> [turn.shift for turn in passes(QType(8, signed=True), QType(8, signed=False), 4, 4)]
    [0, 4, 4, 8]
    """
    return tuple(Pass(w, a) for a in digits(activation, activation_bits) for w in digits(weight, weight_bits))


@dataclass(frozen=True, slots=True, eq=False)
class PassFold:
    """A fold of a pass: which positions along the reduction are added, and which digits of them."""

    positions: IntArray
    turn: Pass
