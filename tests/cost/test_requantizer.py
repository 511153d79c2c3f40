"""The requantizer's parts, counted by hand, and what others say of such hardware."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.arch.load import load_arch
from accel.arch.spec import Machine
from accel.arch.technology import load_technology
from accel.cost.requantizer import Parts, requantizer_parts
from accel.numerics.qtype import QType
from accel.numerics.requantize import REQUANTIZERS

EDGE = load_arch("edge-32x32")
TECHNOLOGY = load_technology("45nm")


def with_bits(sums: int, values: int = 8, requantizer: str = "float32_rne") -> Machine:
    pe = EDGE.pe.model_copy(update={"accumulator_bits": sums, "activation": QType(values, signed=True)})
    vector = EDGE.vector.model_copy(update={"requantizer": requantizer})
    return EDGE.model_copy(update={"pe": pe, "vector": vector})


def test_parts_by_hand() -> None:
    """Sums of 32 bits, values of 8.

    Adders: bias 33, magnitude 32, two roundings of a float 64, exponents 16, and 5 times 10 bits at the end.
    Multiplexers: 32 bits shifted by up to 31 places (5 rows), 48 for the product's carry, 32 bits of fixed point
    shifted by up to 8 places (4 rows), two clamps of 10. Registers: 32 + 32, 32 + 32, 33, 8.
    """
    assert requantizer_parts(EDGE) == Parts(
        multipliers=((24, 24),),
        adder_bits=33 + 32 + 64 + 16 + 50,
        multiplexer_bits=160 + 48 + 128 + 20,
        register_bits=64 + 64 + 33 + 8,
    )


def test_cost_by_hand() -> None:
    """A multiplier of 144 + 529 = 673 adders where 8 x 8 has 65; a multiplexer is 7/16 of an adder's bit."""
    parts = requantizer_parts(EDGE)
    adder_bits = 195 + 356 * 7 / 16
    assert parts.pj(TECHNOLOGY) == pytest.approx(0.2 * 673 / 65 + 0.1 * adder_bits / 32 + 0.009 * 169)
    assert parts.um2(TECHNOLOGY) == pytest.approx(282 * 673 / 65 + 137 * adder_bits / 32 + 5.98 * 169)


def test_less_than_float32_units_would_cost() -> None:
    """A float32 unit also aligns operands, handles what a requantizer never sees, and is built for speed.

    Horowitz, ISSCC 2014: multiplication 3.7 pJ, addition 0.9. Hennessy and Patterson, 6th ed., fig. 1.13: 7700 and
    4184 um2, and 3495 for an integer multiplier of 32 bits.
    """
    parts = requantizer_parts(EDGE)
    assert 0.2 * (673 / 65) < parts.pj(TECHNOLOGY) < 3.7 + 2 * 0.9
    assert 3495 < parts.um2(TECHNOLOGY) < 7700 + 2 * 4184


@pytest.mark.parametrize(
    ("sum_bits", "synthesized_um2"), [(8, 2411), (16, 3943), (24, 5572), (32, 5865), (48, 6213), (64, 6605)]
)
def test_area_is_near_what_the_rtl_synthesizes_to(sum_bits: int, synthesized_um2: float) -> None:
    """sa_requantize_float32_rne with yosys 0.23 for the NanGate 45 nm library."""
    assert requantizer_parts(with_bits(sum_bits)).um2(TECHNOLOGY) == pytest.approx(synthesized_um2, rel=0.25)


@pytest.mark.parametrize(
    ("requantizer", "sum_bits", "synthesized_um2"),
    [
        ("q31_double_rounding", 32, 9126),
        ("q31_floor_nudge", 32, 8999),
        ("q31_half_away", 32, 8479),
        ("q31_half_up", 32, 8403),
        ("mantissa16_half_away", 16, 2519),
        ("mantissa16_half_away", 32, 4525),
        ("mantissa16_half_away", 64, 8473),
        ("mantissa8_half_away", 32, 2620),
        ("shared_exponent8", 32, 2539),
        ("shift_rne", 32, 1143),
        ("shift_floor", 32, 1026),
        ("shift_half_up", 32, 1067),
    ],
)
def test_area_of_integer_units_is_near_it_too(requantizer: str, sum_bits: int, synthesized_um2: float) -> None:
    """sa_requantize_fixed_point with yosys 0.23 for the NanGate 45 nm library."""
    found = requantizer_parts(with_bits(sum_bits, requantizer=requantizer)).um2(TECHNOLOGY)
    assert found == pytest.approx(synthesized_um2, rel=0.25)


@pytest.mark.parametrize(
    ("requantizer", "parts"),
    [
        # A product of 47 bits. Adders: bias 33, the sign's share 16, rounding, zero point and two comparisons of 10.
        # Multiplexers: 47 bits shifted by up to 63 places (6 rows), twice 47 for what is lost, three choices of 10.
        # Registers: the sum and 15 + 6 bits, the product and 6, steps, value.
        ("mantissa16_half_away", Parts(((32, 15),), 33 + 16 + 40, 6 * 47 + 2 * 47 + 30, 53 + 53 + 10 + 8)),
        # A product of 63 bits, rounded once more, its places shifted by at most 31 first, and counted off the rest.
        ("q31_floor_nudge", Parts(((32, 31),), 33 + 32 + 63 + 12 + 40, 5 * 63 + 6 * 63 + 30, 69 + 69 + 10 + 8)),
        (
            "q31_double_rounding",
            Parts(((32, 31),), 33 + 32 + 63 + 12 + 40, 5 * 63 + 6 * 63 + 2 * 63 + 30, 69 + 69 + 10 + 8),
        ),
        # No rounding, and so steps without a carry.
        ("shift_floor", Parts((), 33 + 30, 6 * 32 + 30, 38 + 38 + 9 + 8)),
        ("shift_rne", Parts((), 33 + 40, 6 * 32 + 2 * 32 + 30, 38 + 38 + 10 + 8)),
    ],
)
def test_parts_of_integer_units_by_hand(requantizer: str, parts: Parts) -> None:
    assert requantizer_parts(with_bits(32, requantizer=requantizer)) == parts


def test_a_shift_costs_its_adders_multiplexers_and_registers() -> None:
    parts = requantizer_parts(with_bits(32, requantizer="shift_floor"))
    adder_bits = 63 + 222 * 7 / 16
    assert parts.pj(TECHNOLOGY) == pytest.approx(0.1 * adder_bits / 32 + 0.009 * 93)
    assert parts.um2(TECHNOLOGY) == pytest.approx(137 * adder_bits / 32 + 5.98 * 93)


@given(st.sampled_from(list(REQUANTIZERS)), st.integers(8, 63), st.integers(1, 15))
def test_more_bits_never_cost_less(requantizer: str, sum_bits: int, value_bits: int) -> None:
    here = requantizer_parts(with_bits(sum_bits, value_bits, requantizer)).um2(TECHNOLOGY)
    assert here < requantizer_parts(with_bits(sum_bits + 1, value_bits, requantizer)).um2(TECHNOLOGY)
    assert here < requantizer_parts(with_bits(sum_bits, value_bits + 1, requantizer)).um2(TECHNOLOGY)
