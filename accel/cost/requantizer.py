"""The requantizer: what a lane of it consists of, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accel.arch.spec import Machine
from accel.arch.technology import Technology
from accel.numerics.requantize import REQUANTIZERS, FixedPoint, Rounding

BIAS_BITS = 32
_FLOAT32_BITS = 32
_SHIFT_BITS = 6
_FIRST_SHIFT_BITS = 5
"""Of the first of two shifts, by up to 31 places."""
_SIGNIFICAND_BITS = 24
_EXPONENT_BITS = 8


@dataclass(frozen=True, slots=True)
class Parts:
    """A lane's unit as integer hardware; its registers are those between its stages, all written for every result."""

    multipliers: tuple[tuple[int, int], ...]
    """Widths of their operands."""
    adder_bits: int
    multiplexer_bits: int
    register_bits: int

    def pj(self, technology: Technology) -> float:
        """Energy of one result."""
        return (
            sum(technology.multiply_pj(*widths) for widths in self.multipliers)
            + technology.add_pj(self.adder_bits)
            + technology.multiplex_pj(self.multiplexer_bits)
            + technology.register_pj(self.register_bits)
        )

    def um2(self, technology: Technology) -> float:
        """Area of one lane."""
        return (
            sum(technology.multiplier_um2(*widths) for widths in self.multipliers)
            + technology.adder_um2(self.adder_bits)
            + technology.multiplexer_um2(self.multiplexer_bits)
            + technology.register_um2(self.register_bits)
        )


def requantizer_parts(machine: Machine) -> Parts:
    """The parts of a machine's requantizer, whose outputs are as wide as the array's activations.

    ``float32_rne`` needs no unit for float32 numbers: a sum is normalized (its leading one shifted to the top) and
    rounded to a significand, the significands are multiplied and rounded, and the product is shifted to an integer,
    rounded, given the zero point and clamped, in four stages.

    The others multiply a sum by their factor, if they have one, and shift the whole product; those that shift twice
    have two shifters and round in between. Roundings that tell ties apart also see whether anything is lost below
    half a step.
    """
    sum_bits, value_bits = machine.pe.delivered_sum_bits, machine.pe.activation.bits
    unit = REQUANTIZERS[machine.vector.requantizer]
    parts = (
        _fixed_point(unit, sum_bits, value_bits) if isinstance(unit, FixedPoint) else _float32_rne(sum_bits, value_bits)
    )
    if sum_bits == machine.pe.accumulator_bits:
        return parts
    # The bias joins a wider sum, which is then its lowest bits or a bound.
    bias_bits = max(machine.pe.accumulator_bits, BIAS_BITS) - max(sum_bits, BIAS_BITS)
    return replace(parts, adder_bits=parts.adder_bits + bias_bits, multiplexer_bits=parts.multiplexer_bits + sum_bits)


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
        "sum, scale": sum_bits + _FLOAT32_BITS,
        "sum as a float, scale": float_bits + _FLOAT32_BITS,
        "product": float_bits + 1,
        "value": value_bits,
    }
    return Parts(
        multipliers=((min(sum_bits, _SIGNIFICAND_BITS), _SIGNIFICAND_BITS),),
        adder_bits=sum(adder_bits.values()),
        multiplexer_bits=sum(multiplexer_bits.values()),
        register_bits=sum(register_bits.values()),
    )


def _fixed_point(unit: FixedPoint, sum_bits: int, value_bits: int) -> Parts:
    integer_bits = value_bits + 2
    product_bits = sum_bits + unit.factor_bits
    tells_ties_apart = unit.rounding in (Rounding.HALF_AWAY, Rounding.HALF_EVEN)
    rounds = unit.rounding is not Rounding.FLOOR
    adder_bits = {
        "bias": max(sum_bits, BIAS_BITS) + 1,
        "sign of the product": unit.factor_bits + 1 if unit.factor_bits else 0,
        "first rounding, rest of the shift": product_bits + 2 * _SHIFT_BITS if unit.twice else 0,
        "rounding, zero point, two comparisons": (3 + rounds) * integer_bits,
    }
    multiplexer_bits = {
        "first shift": product_bits * _FIRST_SHIFT_BITS if unit.twice else 0,
        "shift": product_bits * min(_SHIFT_BITS, product_bits.bit_length()),
        "what is lost": 2 * product_bits if tells_ties_apart else 0,
        "clamps": 3 * integer_bits,
    }
    register_bits = {
        "sum, scale": sum_bits + unit.word_bits,
        "product, shift": product_bits + _SHIFT_BITS,
        "steps": integer_bits - (not rounds),
        "value": value_bits,
    }
    return Parts(
        multipliers=((sum_bits, unit.factor_bits),) if unit.factor_bits else (),
        adder_bits=sum(adder_bits.values()),
        multiplexer_bits=sum(multiplexer_bits.values()),
        register_bits=sum(register_bits.values()),
    )
