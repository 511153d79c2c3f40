"""The adder's parts, counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.arch.load import load_arch
from accel.arch.spec import Machine
from accel.arch.technology import load_technology
from accel.cost.adder import adder_parts
from accel.cost.area import area_of
from accel.cost.energy import energy_of
from accel.cost.requantizer import Parts, requantizer_parts
from accel.numerics.adders import ADDERS
from accel.numerics.qtype import QType
from accel.result import Actions

EDGE = load_arch("edge-32x32")
TECHNOLOGY = load_technology("45nm")


def with_adder(adder: str, values: int = 8) -> Machine:
    pe = EDGE.pe.model_copy(update={"activation": QType(values, signed=True)})
    vector = EDGE.vector.model_copy(update={"adder": adder})
    return EDGE.model_copy(update={"pe": pe, "vector": vector})


def parts_of(adder: str, values: int = 8) -> Parts:
    parts = adder_parts(with_adder(adder, values))
    assert parts is not None
    return parts


def test_parts_of_16_bits_by_hand() -> None:
    """Products of 8 + 15 = 23 bits, their sum with the zero points' share of 25.

    Adders: signs 2 x 16, the sum 24, the zero points 25, and rounding, zero point and two comparisons of 10.
    Multiplexers: 25 bits shifted by up to 31 places (5 rows), twice 25 for what is lost, three choices of 10.
    Registers: two operands, two products, the sum, steps, value.
    """
    assert parts_of("mantissa16_half_away") == Parts(
        multipliers=((8, 15), (8, 15)),
        adder_bits=32 + 24 + 25 + 40,
        multiplexer_bits=125 + 50 + 30,
        register_bits=16 + 46 + 25 + 10 + 8,
    )


def test_parts_of_21_bits_by_hand() -> None:
    """Factors of up to 2^21 have 22 bits: products of 30, a sum of 32, shifted by up to 63 places; no care for ties."""
    assert parts_of("q21_half_up") == Parts(
        multipliers=((8, 22), (8, 22)),
        adder_bits=46 + 31 + 32 + 40,
        multiplexer_bits=6 * 32 + 30,
        register_bits=16 + 60 + 32 + 10 + 8,
    )


def test_parts_of_three_factors_by_hand() -> None:
    """Operands of 9 bits less their zero points, 28 once scaled (20 more, one less as they are halved), their sum 29.

    Adders: zero points 18, signs 3 x 32, first roundings of products of 40, 40 and 60 bits, second ones of the operands
    and the sum 28 + 28 + 29, and four of 10. Multiplexers: 5 rows of shifts for 85 bits, what is lost of them twice,
    three choices of 10. Registers: operands 16, products 140, sums 85, steps 10, value 8.
    """
    assert parts_of("q31_double_rounding") == Parts(
        multipliers=((9, 31), (9, 31), (29, 31)),
        adder_bits=18 + 96 + 140 + 85 + 40,
        multiplexer_bits=5 * 85 + 2 * 85 + 30,
        register_bits=16 + 140 + 85 + 10 + 8,
    )


def test_wider_operands_are_shifted_less_by_the_adder_with_a_common_scale() -> None:
    """16 bits: 17, and 17 + 15 - 1 once scaled."""
    assert parts_of("q31_double_rounding", 16).multipliers == ((17, 31), (17, 31), (32, 31))


@pytest.mark.parametrize("adder", ADDERS)
def test_an_addition_takes_the_adder_s_energy_and_a_lane_its_area(adder: str) -> None:
    given, plain = with_adder(adder), with_adder("float32")
    parts = parts_of(adder)
    assert energy_of(Actions(vector_scaled_add=10), 0, given, TECHNOLOGY).vector_pj == pytest.approx(
        10 * parts.pj(TECHNOLOGY)
    )
    more_mm2 = area_of(given, TECHNOLOGY).vector_mm2 - area_of(plain, TECHNOLOGY).vector_mm2
    assert more_mm2 == pytest.approx(given.vector.lanes * parts.um2(TECHNOLOGY) / 1e6)


def test_in_float32_it_is_the_requantizer_twice_and_an_addition() -> None:
    assert adder_parts(EDGE) is None
    counted = energy_of(Actions(vector_requantize=20, vector_add=10), 0, EDGE, TECHNOLOGY).vector_pj
    assert energy_of(Actions(vector_scaled_add=10), 0, EDGE, TECHNOLOGY).vector_pj == pytest.approx(counted)
    assert counted == pytest.approx(20 * requantizer_parts(EDGE).pj(TECHNOLOGY) + 10 * 0.1)


def test_fewer_bits_cost_less() -> None:
    """And less than float32, the one with three factors of 31 bits alone excepted."""
    energies = [
        parts_of(adder).pj(TECHNOLOGY) for adder in ("mantissa16_half_away", "q21_half_up", "q31_double_rounding")
    ]
    assert energies == sorted(energies)
    assert energies[1] < 2 * requantizer_parts(EDGE).pj(TECHNOLOGY)


@given(st.sampled_from(list(ADDERS)), st.integers(1, 15))
def test_more_bits_never_cost_less(adder: str, values: int) -> None:
    if adder == "q31_double_rounding" and values == 8:
        return  # from there on, the left shift is 15 and no longer 20
    assert parts_of(adder, values).um2(TECHNOLOGY) < parts_of(adder, values + 1).um2(TECHNOLOGY)
