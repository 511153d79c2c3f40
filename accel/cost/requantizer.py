"""The requantizer: what a lane of it consists of, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

from accel.arch.spec import Machine
from accel.arch.technology import Technology

BIAS_BITS = 32
MULTIPLIER_BITS = 32
"""Of a scale, which is a float32."""
_SIGNIFICAND_BITS = 24
_EXPONENT_BITS = 8


@dataclass(frozen=True, slots=True)
class Parts:
    """A lane as integer hardware; its registers are those between its stages, all written for every sum."""

    multiplier: tuple[int, int]
    """Widths of the operands."""
    adder_bits: int
    multiplexer_bits: int
    register_bits: int

    def pj(self, technology: Technology) -> float:
        """Energy of one requantization."""
        return (
            technology.multiply_pj(*self.multiplier)
            + technology.add_pj(self.adder_bits)
            + technology.multiplex_pj(self.multiplexer_bits)
            + technology.register_pj(self.register_bits)
        )

    def um2(self, technology: Technology) -> float:
        """Area of one lane."""
        return (
            technology.multiplier_um2(*self.multiplier)
            + technology.adder_um2(self.adder_bits)
            + technology.multiplexer_um2(self.multiplexer_bits)
            + technology.register_um2(self.register_bits)
        )


def requantizer_parts(machine: Machine) -> Parts:
    """The parts of a machine's requantizer, whose outputs are as wide as the array's activations.

    ``float32_rne`` needs no unit for float32 numbers: a sum is normalized (its leading one shifted to the top) and
    rounded to a significand, the significands are multiplied and rounded, and the product is shifted to an integer,
    rounded, given the zero point and clamped, in four stages.
    """
    match machine.vector.requantizer:
        case "float32_rne":
            return _float32_rne(machine.pe.accumulator_bits, machine.pe.activation.bits)


def _float32_rne(sum_bits: int, value_bits: int) -> Parts:
    float_bits = _SIGNIFICAND_BITS + _EXPONENT_BITS
    # Integers on their way to the clamps have a sign, and room for what the zero point adds.
    integer_bits = value_bits + 2
    adder_bits = {
        "bias": max(sum_bits, BIAS_BITS) + 1,
        "magnitude": sum_bits,
        "rounding, sum and product": 2 * float_bits,
        "exponents": 2 * _EXPONENT_BITS,
        "rounding, sign, zero point, two comparisons": 5 * integer_bits,
    }
    multiplexer_bits = {
        "normalize": sum_bits * (sum_bits - 1).bit_length(),
        "product of 2 or more": 2 * _SIGNIFICAND_BITS,
        "align": (value_bits + _SIGNIFICAND_BITS) * value_bits.bit_length(),
        "clamps": 2 * integer_bits,
    }
    register_bits = {
        "sum, scale": sum_bits + MULTIPLIER_BITS,
        "sum as a float, scale": float_bits + MULTIPLIER_BITS,
        "product": float_bits + 1,
        "value": value_bits,
    }
    return Parts(
        multiplier=(min(sum_bits, _SIGNIFICAND_BITS), _SIGNIFICAND_BITS),
        adder_bits=sum(adder_bits.values()),
        multiplexer_bits=sum(multiplexer_bits.values()),
        register_bits=sum(register_bits.values()),
    )
