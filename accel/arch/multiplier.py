"""Multipliers: what a PE makes of one place of a stream, and how long it takes, by the widths of a layer's operands.

- ``parallel``: one product of the PE's own widths a cycle, however narrow the operands are.
- ``bit_serial``: activations enter one bit a cycle, the lowest first, and the weight is there in parallel
  (P. Judd et al., "Stripes: Bit-Serial Deep Neural Network Computing", MICRO 2016). Shifted partial products add up
  behind the multiplier, and their sum, the product, joins the PE's sum in one addition: an activation of b bits takes
  b cycles. A PE hands each bit on as it comes, so a hop still takes its cycles, not b times as many.
- ``bit_serial_both``: each bit of one operand meets each bit of the other (Y. Umuroglu et al., "BISMO: A Scalable
  Bit-Serial Matrix Multiplication Overlay", FPL 2018): the product of the widths in cycles.
- ``composable``: bricks of 2 x 2 bits make one product of the PE's widths, or several of narrower operands, which are
  added to each other first (H. Sharma et al., "Bit Fusion: Bit-Level Dynamically Composable Architecture", ISCA 2018).
  Operands take 2, 4, 8 or 16 bits of it.
- ``xnor``: operands of -1 and +1. Their product is the XNOR of two bits; of the products of a PE the ones are counted,
  and twice the count less their number is their sum (M. Courbariaux et al., "Binarized Neural Networks", 2016).

Operands of -1 and +1 are one bit in memory, and two bits, int2, to every multiplier but the last.

A PE that makes several products at a time (``pe.products``, or composed) takes neighbours along the reduction: their
exact sum joins the PE's sum in one addition, and there it wraps or saturates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accel.numerics.digits import Pass
from accel.numerics.qtype import QType

Multiplier = Literal["parallel", "bit_serial", "bit_serial_both", "composable", "xnor"]
BRICK_BITS = 2
COMPOSABLE_BITS = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Step:
    """One place of a stream: what a PE does with the operands of a layer there."""

    weight_bits: int
    """That the registers on a weight's way hold of it."""
    activation_bits: int
    cycles: int = 1
    """Until the next operand may enter the same row."""
    products: int = 1
    """Neighbours along the reduction that a PE multiplies and adds to its sum together."""
    operations: int = 1
    """Of what the multiplier is made of, for a product: of a bit-serial one cycles, of a composable one bricks."""
    passes: tuple[Pass, ...] = ()
    """In which wider operands go through the array, digit by digit; empty where they go through whole."""

    @property
    def turns(self) -> int:
        """How often the array runs a tile."""
        return max(1, len(self.passes))

    def busy_cycles(self, macs: int) -> float:
        """For which ``macs`` keep PEs busy that make as many products at a time as they can."""
        return macs * self.turns * self.cycles / self.products


def step_of(multiplier: Multiplier, products: int, widths: tuple[QType, QType], operands: tuple[QType, QType]) -> Step:
    """What ``operands`` (weight, activation) of a layer take on PEs of ``widths``.

    Examples
    --------
    >>> int8, int4 = QType(8, signed=True), QType(4, signed=True)
    >>> step_of("bit_serial", 1, (int8, int8), (int8, int4))
    Step(weight_bits=8, activation_bits=4, cycles=4, products=1, operations=4)
    >>> step_of("composable", 1, (int8, int8), (int4, int4))
    Step(weight_bits=4, activation_bits=4, cycles=1, products=4, operations=4)
    """
    wide_weight, wide_activation = stored_bits(multiplier, widths)
    weight, activation = (in_array(operand).bits for operand in operands)
    match multiplier:
        case "parallel" | "xnor":
            return Step(wide_weight, wide_activation, 1, products, 1)
        case "bit_serial":
            return Step(wide_weight, activation, activation, products, activation)
        case "bit_serial_both":
            cycles = weight * activation
            return Step(weight, activation, cycles, products, cycles)
        case "composable":
            weight, activation = composed_bits(weight), composed_bits(activation)
            at_a_time = products * (wide_weight // weight) * (wide_activation // activation)
            return Step(weight, activation, 1, at_a_time, weight * activation // BRICK_BITS**2)


def composed_bits(bits: int) -> int:
    """What an operand takes of a composable multiplier: 2, 4, 8 or 16 bits."""
    return next(width for width in COMPOSABLE_BITS if bits <= width)


def in_array(qtype: QType) -> QType:
    """What the registers on an operand's way hold of it.

    Of -1 and +1 there are two bits, as in int2: bubbles, and the rows and columns that a fold leaves idle, are 0.
    """
    return QType(2, signed=True) if qtype.bipolar else qtype


def stored_bits(multiplier: Multiplier, widths: tuple[QType, QType]) -> tuple[int, int]:
    """Bits of a weight and of an activation in a PE; of an XNOR gate one, as whether an operand is there is control."""
    weight, activation = widths if multiplier == "xnor" else map(in_array, widths)
    return weight.bits, activation.bits


SERIAL_DATAFLOWS = {
    "bit_serial": ("weight_stationary", "output_stationary"),
    "bit_serial_both": ("output_stationary",),
}
"""Dataflows in which whatever enters bit by bit moves."""


def widest_operands(multiplier: Multiplier, products: int, widths: tuple[QType, QType]) -> tuple[int, int]:
    """Bits of weights and of activations for one place of a stream, of the operands that make most of them.

    A composable multiplier of 8 x 8 bits takes four weights of 2 bits with four activations of 8, or sixteen of both
    with 2 bits each: of either operand up to 32 bits.

    Examples
    --------
    >>> widest_operands("composable", 1, (QType(8, signed=True), QType(4, signed=False)))
    (16, 16)
    """
    weight_bits, activation_bits = (width.bits for width in widths)
    if multiplier != "composable":
        return products * weight_bits, products * activation_bits
    most = products * weight_bits * activation_bits // BRICK_BITS
    return most, most


def register_bits(multiplier: Multiplier, products: int, widths: tuple[QType, QType]) -> tuple[int, int]:
    """Bits of a PE's registers of weights and of activations: of an operand that enters bit by bit, one."""
    match multiplier:
        case "composable":
            return widest_operands(multiplier, products, widths)
        case "bit_serial_both":
            return products, products
    weight_bits, activation_bits = stored_bits(multiplier, widths)
    return products * weight_bits, products * (1 if multiplier == "bit_serial" else activation_bits)
