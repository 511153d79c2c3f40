"""Each adder against its formula in Python's integers and fractions, which have no width."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from accel.numerics.adders import ADDERS, CommonScale, SharedShift
from accel.numerics.elementwise import Sum, add
from accel.numerics.encoding import Encoding
from accel.numerics.qtype import BIPOLAR, QType
from tests.numerics.strategies import SEEDS, integers, scales
from tests.numerics.test_requantizers import double_rounding, half_away, half_up

INT8, UINT8, INT16, UINT16 = (QType(bits, signed) for bits in (8, 16) for signed in (True, False))
TYPES = [INT8, UINT8, QType(4, signed=True), QType(1, signed=False), QType(12, signed=True), INT16, UINT16]
ANY_TYPE = st.sampled_from(TYPES)
Encodings = tuple[Encoding, Encoding, Encoding]


# ---------------------------------------------------------------------- the formulas, one pair of integers at a time


def q31(scale: Fraction | float) -> tuple[int, int]:
    """TensorFlow Lite's QuantizeMultiplier of a float64: a factor of 31 bits and places to shift by."""
    fraction, exponent = math.frexp(float(scale))
    factor = math.floor(Fraction(fraction) * 2**31 + Fraction(1, 2))
    return (factor, 31 - exponent) if factor < 2**31 else (2**30, 30 - exponent)


def common_scale(a: int, b: int, by: Encodings) -> tuple[int, int]:
    """Its steps of the result, and the sum that they are made of."""
    left = 20 if max(by[0].qtype.bits, by[1].qtype.bits) <= 8 else 15
    common = 2 * max(by[0].scale, by[1].scale)
    raw = sum(double_rounding(x << left, *q31(one.scale / common)) for x, one in ((a, by[0]), (b, by[1])))
    return double_rounding(raw, *q31(common / (2**left * by[2].scale))), raw


@lru_cache
def factors(by: Encodings, bits: int, carries: bool) -> tuple[int, int, int]:
    """Of both operands, and the places to shift the sum of products by: as few as make the larger one ``bits`` long."""
    ratios = [Fraction(float(np.float32(one.scale) / np.float32(by[2].scale))) for one in by[:2]]
    shift = next(places for places in range(-20, 99) if max(ratios) * Fraction(2) ** places >= 2 ** (bits - 1))
    if not carries and round(max(ratios) * Fraction(2) ** shift) == 2**bits:
        shift -= 1
    first, second = (round(ratio * Fraction(2) ** shift) for ratio in ratios)
    return first, second, shift


def q21(a: int, b: int, by: Encodings) -> tuple[int, int]:
    first, second, shift = factors(by, 21, carries=True)
    return half_up(a * first + b * second, shift), a * first + b * second


def mantissa16(a: int, b: int, by: Encodings) -> tuple[int, int]:
    first, second, shift = factors(by, 15, carries=False)
    return half_away(a * first + b * second, shift), a * first + b * second


FORMULAS = {"q31_double_rounding": common_scale, "q21_half_up": q21, "mantissa16_half_away": mantissa16}


def test_there_is_a_formula_for_each() -> None:
    assert list(FORMULAS) == list(ADDERS)


@st.composite
def encodings(draw: st.DrawFn, to: st.SearchStrategy[QType] = ANY_TYPE) -> Encodings:
    """Operands and a result of any types; scales at most 2^14 apart, powers of two among them."""
    made = []
    for qtypes in (ANY_TYPE, ANY_TYPE, to):
        qtype = draw(qtypes)
        zero_point = draw(st.integers(qtype.min, qtype.max)) if not qtype.bipolar else 0
        made.append(Encoding(qtype, draw(scales()), zero_point))
    assume(not any(unit.problem(*made) for unit in ADDERS.values()))
    return made[0], made[1], made[2]


def operands(by: Encodings, seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Drawn, and all four pairs of extremes."""
    ends = [(x, y) for x in (by[0].qtype.min, by[0].qtype.max) for y in (by[1].qtype.min, by[1].qtype.max)]
    x, y = (
        np.append(integers(seed + index, (count,), one.qtype), [pair[index] for pair in ends]).astype(one.qtype.dtype)
        for index, one in enumerate(by[:2])
    )
    return x, y


@pytest.mark.parametrize("name", ADDERS)
@given(encodings(), SEEDS, st.booleans())
def test_formula(name: str, by: Encodings, seed: int, clamped: bool) -> None:
    unit, to = ADDERS[name], by[2]
    x, y = operands(by, seed)
    low, high = clamp = (to.zero_point, to.qtype.max) if clamped else (to.qtype.min, to.qtype.max)
    out = unit.apply(x, y, *by, clamp if clamped else None)
    assert out.dtype == to.qtype.dtype
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    wanted = [FORMULAS[name](a - by[0].zero_point, b - by[1].zero_point, by)[0] + to.zero_point for a, b in pairs]
    assert out.tolist() == [min(max(value, low), high) for value in wanted]


@pytest.mark.parametrize("name", ADDERS)
@given(encodings(st.just(BIPOLAR)), SEEDS)
def test_a_bipolar_result_is_the_sums_sign(name: str, by: Encodings, seed: int) -> None:
    x, y = operands(by, seed)
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    totals = [FORMULAS[name](a - by[0].zero_point, b - by[1].zero_point, by)[1] for a, b in pairs]
    assert ADDERS[name].apply(x, y, *by).tolist() == [1 if total >= 0 else -1 for total in totals]
    assert ADDERS[name].apply(x, y, *by, (1, 1)).tolist() == [1] * len(totals)


def test_ties_by_hand() -> None:
    """Halves of the operands' sums: 1, 3, 5 and -1, -3, -5 are ties."""
    by = Encoding(INT8, 0.5, 0), Encoding(INT8, 0.5, 3), Encoding(INT8, 1.0, -7)
    x, y = np.int8([1, 0, 2, -1, 0, -2]), np.int8([3, 6, 6, 3, 0, 0])
    made = {name: (unit.apply(x, y, *by).astype(int) + 7).tolist() for name, unit in ADDERS.items()}
    away, up = [1, 2, 3, -1, -2, -3], [1, 2, 3, 0, -1, -2]
    assert made == {"q31_double_rounding": away, "q21_half_up": up, "mantissa16_half_away": away}


def test_fifteen_bits_are_fewer_than_twenty_one() -> None:
    """1 - 2^-17 is 1 in 15 bits: a hundred of them and 27.5 are a tie there, and a little less elsewhere."""
    by = Encoding(INT8, 1 - 2.0**-17, 0), Encoding(INT8, 0.25, 0), Encoding(INT16, 1.0, 0)
    made = {name: unit.apply(np.int8([100]), np.int8([110]), *by).item() for name, unit in ADDERS.items()}
    assert made == {"q31_double_rounding": 127, "q21_half_up": 127, "mantissa16_half_away": 128}


@pytest.mark.parametrize("name", ADDERS)
@given(encodings(), SEEDS)
def test_near_the_exact_sum(name: str, by: Encodings, seed: int) -> None:
    """Half a step, and what the factors' rounding makes of operands of up to 17 bits."""
    unit, to = ADDERS[name], Encoding(INT16, by[2].scale, 0)
    x, y = operands(by, seed)
    found = unit.apply(x, y, by[0], by[1], to).astype(np.int64)
    a, b = (values.astype(np.int64) - one.zero_point for values, one in zip((x, y), by, strict=False))
    exact = (a * by[0].scale + b * by[1].scale) / to.scale
    ratios = unit.ratios(by[0], by[1], to)
    slack = sum(np.abs(v) * abs(r - o.scale / to.scale) for v, r, o in zip((a, b), ratios, by, strict=False))
    within = np.abs(exact) < INT16.max - 1
    # The common scale is rounded to as well, and at its finest that is 2^-15 of the larger operand's scale.
    step = 0.5 + 1e-6 + (2.0**-13 * max(ratios) if isinstance(unit, CommonScale) else 0)
    assert np.all((np.abs(found - exact) <= step + slack)[within])


@given(encodings(), encodings(), SEEDS, st.sampled_from(list(ADDERS)), st.sampled_from(Sum))
def test_add_by_table_is_add_by_formula(by: Encodings, other: Encodings, seed: int, name: str, how: Sum) -> None:
    """The same table serves every tile; another adder or encoding has another one."""
    for encodings_ in (by, other):
        x, y = (values[:24].reshape(4, 6) for values in operands(encodings_, seed))
        found = add(x, y, *encodings_, None, how, ADDERS[name])
        np.testing.assert_array_equal(found, ADDERS[name].apply(x, y, *encodings_))
        np.testing.assert_array_equal(add(x.T, y.T, *encodings_, None, how, ADDERS[name]), found.T)


@pytest.mark.parametrize("name", ADDERS)
@given(st.lists(scales(), min_size=3, max_size=3), st.lists(st.integers(-128, 127), min_size=3, max_size=3), SEEDS)
def test_zero_points_only_move_integers(name: str, drawn: list[float], zeros: list[int], seed: int) -> None:
    """An operand less its zero point is what counts; the result's moves the result, up to its ends."""
    plain = [Encoding(INT16, scale, 0) for scale in drawn]
    moved = [Encoding(INT16, scale, zero) for scale, zero in zip(drawn, zeros, strict=True)]
    x, y = (integers(seed + index, (50,), INT8).astype(np.int16) for index in range(2))
    expected = np.clip(ADDERS[name].apply(x, y, *plain).astype(int), -30000, 30000)
    found = ADDERS[name].apply(x + np.int16(zeros[0]), y + np.int16(zeros[1]), *moved).astype(int) - zeros[2]
    np.testing.assert_array_equal(np.clip(found, -30000, 30000), expected)


# ------------------------------------------------------------------------------------------- what scales become


@pytest.mark.parametrize(("name", "bits"), [("q21_half_up", 21), ("mantissa16_half_away", 15)])
@example(2 - 2.0**-23, 1.0)
@example(1.0, 1.0)
@given(st.floats(2**-10, 2**7, width=32), st.floats(2**-10, 2**7, width=32))
def test_factors_are_nearest_and_the_larger_one_is_normalized(name: str, bits: int, a: float, b: float) -> None:
    unit = ADDERS[name]
    assert isinstance(unit, SharedShift)
    first, second, shift = unit.factors(*(Encoding(INT8, scale, 0) for scale in (a, b, 1.0)))
    assert 2 ** (bits - 1) <= max(first, second) <= 2**bits - (not unit.carries)
    for factor, scale in ((first, a), (second, b)):
        assert abs(Fraction(factor, 2**shift) - Fraction(scale)) <= Fraction(1, 2 ** (shift + 1))
    assert unit.ratios(*(Encoding(INT8, scale, 0) for scale in (a, b, 1.0))) == (first / 2**shift, second / 2**shift)


@given(st.floats(2**-10, 2**7, width=32), st.floats(2**-10, 2**7, width=32))
def test_three_factors_of_31_bits(a: float, b: float) -> None:
    """Each is within 2^-31 of what it stands for."""
    found = ADDERS["q31_double_rounding"].ratios(*(Encoding(INT8, scale, 0) for scale in (a, b, 0.75)))
    assert found == pytest.approx((a / 0.75, b / 0.75), rel=2**-29)


@pytest.mark.parametrize("name", ADDERS)
@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan, 2.0**-149])
def test_only_positive_finite_scales(name: str, wrong: float) -> None:
    """2^-149 times the result's 2 is no float32 but 0."""
    by = [Encoding(INT8, scale, 0) for scale in (0.5, wrong, 4.0)]
    said = float(np.float32(wrong) / np.float32(4))
    assert ADDERS[name].problem(*by) == (
        f"its operands' scales are 0.125 and {said:g} times its result's, and {name} takes positive finite ones"
    )


@pytest.mark.parametrize(
    ("name", "fine", "beyond"),
    [
        # Factors of 21 bits, shifted by 0 to 63 places.
        ("q21_half_up", [(2.0**21 - 1, 1.0), (2.0**-43, 2.0**-60)], [(2.0**21, 1.0), (0.99 * 2.0**-43, 2.0**-60)]),
        (
            "mantissa16_half_away",
            [(2.0**15 - 1, 1.0), (2.0**-49, 0.5**60)],
            [(2.0**15, 1.0), (0.99 * 0.5**49, 0.5**60)],
        ),
        # Bytes: twice the larger scale, 2^20 of which are the result's at most; the smaller one's factor is 2^-32 or
        # more of them, and so is the sum's.
        (
            "q31_double_rounding",
            [(0.99 * 2.0**19, 1.0), (1.0, 2.0**-31), (2.0**-13, 2.0**-20)],
            [(2.0**19, 1.0), (1.0, 0.49 * 2.0**-31), (0.99 * 2.0**-13, 2.0**-20)],
        ),
    ],
)
def test_range_of_scales(name: str, fine: list[tuple[float, float]], beyond: list[tuple[float, float]]) -> None:
    unit = ADDERS[name]
    for pair in fine:
        assert unit.problem(*(Encoding(INT8, scale, 0) for scale in (*pair, 1.0))) == ""
    for pair in beyond:
        problem = unit.problem(*(Encoding(INT8, scale, 0) for scale in (*pair, 1.0)))
        assert problem.startswith(
            f"its operands' scales are {pair[0]:g} and {pair[1]:g} times its result's, and {name}"
        )


def test_ranges_by_their_sentences() -> None:
    def said(name: str, a: float, b: float, qtype: QType = INT8) -> str:
        return ADDERS[name].problem(*(Encoding(qtype, scale, 0) for scale in (a, b, 1.0))).partition(", and ")[2]

    assert said("mantissa16_half_away", 1e5, 1) == (
        "mantissa16_half_away takes those of which the larger one is about 1.8e-15 to 3.3e+04"
    )
    assert said("q31_double_rounding", 1e6, 1) == (
        "q31_double_rounding takes those of which the larger one is about 0.00012 to 5.2e+05 and at most 2.1e+09 times "
        "the other"
    )
    assert "about 3.8e-06 to 1.6e+04 and" in said("q31_double_rounding", 20_000, 1, INT16)
