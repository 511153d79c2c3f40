"""The adder of activations: what a lane of it consists of."""

from __future__ import annotations

from accel.arch.spec import Machine
from accel.cost.requantizer import Parts
from accel.numerics.adders import SHIFT_BITS, CommonScale, SharedShift, left_shift
from accel.numerics.requantize import Rounding

_SECOND_SHIFT_BITS = 5
"""Of the shift that follows a fixed one, by up to 31 places."""


def adder_parts(machine: Machine) -> Parts | None:
    """The parts of a machine's adder in integers; None where it adds in float32: that is two requantizations and an
    addition.

    Its operands and results are as wide as the array's activations, its words belong to a layer and stand in registers
    that no addition writes. An adder with one shift multiplies both operands, adds the products and the zero points'
    share, and shifts, rounds and clamps the sum as a requantizer does. The one with a common scale takes the zero
    points off first, multiplies, rounds twice, adds, multiplies and rounds twice again; its left shift and its first
    shift are wires.
    """
    value_bits = machine.pe.activation.bits
    match machine.vector.arithmetic.integer_adder:
        case SharedShift() as adder:
            return _shared_shift(adder, value_bits)
        case CommonScale() as adder:
            return _common_scale(adder, value_bits)
    return None


def _shared_shift(adder: SharedShift, value_bits: int) -> Parts:
    factor_bits = adder.factor_bits + adder.carries
    product_bits = value_bits + factor_bits
    # Less its zero point, an operand has a bit more, and the sum of two products one more than that.
    total_bits = product_bits + 2
    # On its way to the clamps an integer has a sign, and room for what the zero point adds.
    integer_bits = value_bits + 2
    tells_ties_apart = adder.rounding is Rounding.HALF_AWAY
    adder_bits = {
        "signs of the products": 2 * (factor_bits + 1),
        "sum, zero points": (product_bits + 1) + total_bits,
        "rounding, zero point, two comparisons": 4 * integer_bits,
    }
    multiplexer_bits = {
        "shift": total_bits * min(SHIFT_BITS, total_bits.bit_length()),
        "what is lost": 2 * total_bits if tells_ties_apart else 0,
        "clamps": 3 * integer_bits,
    }
    register_bits = {
        "operands": 2 * value_bits,
        "products": 2 * product_bits,
        "sum": total_bits,
        "steps": integer_bits,
        "value": value_bits,
    }
    return Parts(
        multipliers=((value_bits, factor_bits),) * 2,
        adder_bits=sum(adder_bits.values()),
        multiplexer_bits=sum(multiplexer_bits.values()),
        register_bits=sum(register_bits.values()),
    )


def _common_scale(adder: CommonScale, value_bits: int) -> Parts:
    factor_bits = adder.unit.factor_bits
    operand_bits, integer_bits = value_bits + 1, value_bits + 2
    # Shifted left, an operand is at least halved by its factor.
    scaled_bits = operand_bits + left_shift(value_bits) - 1
    sum_bits = scaled_bits + 1
    products = [operand_bits + factor_bits] * 2 + [sum_bits + factor_bits]
    adder_bits = {
        "zero points": 2 * operand_bits,
        "signs of the products": 3 * (factor_bits + 1),
        "first roundings": sum(products),
        "operands' second roundings, sum": 2 * scaled_bits + sum_bits,
        "second rounding, zero point, two comparisons": 4 * integer_bits,
    }
    shifted_bits = 2 * scaled_bits + sum_bits
    multiplexer_bits = {
        "shifts": shifted_bits * _SECOND_SHIFT_BITS,
        "what is lost": 2 * shifted_bits,
        "clamps": 3 * integer_bits,
    }
    register_bits = {
        "operands": 2 * value_bits,
        "products": sum(products),
        "scaled operands, sum": 2 * scaled_bits + sum_bits,
        "steps": integer_bits,
        "value": value_bits,
    }
    return Parts(
        multipliers=((operand_bits, factor_bits),) * 2 + ((sum_bits, factor_bits),),
        adder_bits=sum(adder_bits.values()),
        multiplexer_bits=sum(multiplexer_bits.values()),
        register_bits=sum(register_bits.values()),
    )
