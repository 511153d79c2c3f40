from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accel.numerics import elementwise
from accel.numerics.elementwise import Sum, add, concat, dequantize, quantize, requantize
from accel.numerics.encoding import Encoding
from accel.numerics.qtype import BIPOLAR, QType
from accel.numerics.requantize import REQUANTIZERS
from tests.numerics.strategies import QTYPES, SEEDS, encodings, integers, scales

INT8, UINT8, INT16 = QType(8, signed=True), QType(8, signed=False), QType(16, signed=True)
FLOATS = st.floats(-(2.0**20), 2.0**20, width=32)


def rounded(exact: Fraction) -> float:
    """The nearest float32, ties to even, from an exact value."""
    if exact == 0:
        return 0.0
    exponent = 0
    scaled = abs(exact)
    while scaled >= 1 << 24:
        scaled, exponent = scaled / 2, exponent + 1
    while scaled < 1 << 23:
        scaled, exponent = scaled * 2, exponent - 1
    magnitude = round(scaled) * Fraction(2) ** exponent
    return float(magnitude if exact > 0 else -magnitude)


@settings(max_examples=500)
@given(FLOATS, FLOATS, FLOATS)
def test_fma_rounds_once(a, b, c):
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact != 0 and abs(exact) < Fraction(2) ** -100:
        return
    assert float(elementwise._fma(a, b, c)) == rounded(exact)


def test_fma_where_rounding_twice_goes_wrong():
    # The product is 2^-24 - 2^-70. Added to 1 + 2^-23 it stays just below the middle of two float32 neighbours;
    # a float64 sum rounds it to that middle, and from there it goes up to even.
    a, b, c = 2.0**-12 * (1 + 2**-23), 2.0**-12 * (1 - 2**-23), 1 + 2.0**-23
    assert np.float32(np.float64(a) * b + c) == np.float32(1 + 2.0**-22)
    assert float(elementwise._fma(a, b, c)) == 1 + 2.0**-23


@given(encodings(), st.lists(st.floats(-1e6, 1e6, width=32), min_size=1))
def test_quantize_divides_and_rounds_half_to_even(to, reals):
    low, high = to.qtype.min - to.zero_point, to.qtype.max - to.zero_point
    expected = []
    for real in reals:
        step = rounded(Fraction(real) / Fraction(to.scale)) if abs(real) > 1e-30 else 0.0
        expected.append(round(min(max(step, low), high)) + to.zero_point)
    out = quantize(np.array(reals, np.float32), to)
    assert out.dtype == to.qtype.dtype
    assert out.tolist() == expected


@given(encodings())
def test_every_integer_survives_the_way_through_reals(encoding):
    values = np.arange(encoding.qtype.min, encoding.qtype.max + 1).astype(encoding.qtype.dtype)
    np.testing.assert_array_equal(quantize(dequantize(values, encoding), encoding), values)


@given(encodings(), encodings(), st.none() | st.tuples(st.just(0.0), st.sampled_from([6.0, np.inf])), SEEDS)
def test_requantize_is_dequantize_clamp_quantize(by, to, clamp, seed):
    values = integers(seed, (3, 50), by.qtype)
    reals = dequantize(values, by)
    expected = quantize(reals if clamp is None else np.clip(reals, *map(np.float32, clamp)), to)
    np.testing.assert_array_equal(requantize(values, by, to, clamp), expected)


@given(
    encodings(),
    encodings(),
    st.none() | st.tuples(st.just(0.0), st.sampled_from([6.0, np.inf])),
    SEEDS,
    st.sampled_from([unit for unit in REQUANTIZERS.values() if not unit.name.startswith("shift")]),
)
def test_requantize_by_a_unit_scales_integers_less_their_zero_point(by, to, clamp, seed, unit):
    values = integers(seed, (3, 50), by.qtype)
    ratio = np.float32(by.scale) / np.float32(to.scale)
    assume(not unit.problem(ratio))
    found = requantize(values, by, to, clamp, unit)
    low, high = to.bounds(clamp)
    if ratio == 1:
        expected = np.clip(values.astype(int) - by.zero_point + to.zero_point, low, high)
    else:
        steps = values.astype(np.int64) - by.zero_point
        expected = unit.apply(steps, unit.encode(ratio), to.zero_point, to.qtype, (low, high))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == to.qtype.dtype
    wide = Encoding(INT16, by.scale, by.zero_point)
    np.testing.assert_array_equal(requantize(values.astype(np.int16), wide, to, clamp, unit), expected)


def test_integers_that_keep_their_scale_pass_beside_the_unit():
    """LLSQ's factor of a scale of 1, alone in its layer, is 127/128: 100 would become 99."""
    unit = REQUANTIZERS["shared_exponent8"]
    by, to = Encoding(INT8, 0.3, 3), Encoding(INT8, 0.3, 7)
    values = np.array([103, -128, 127], np.int8)
    assert unit.apply(np.array([100]), unit.encode(1.0), 0, INT8).tolist() == [99]
    assert requantize(values, by, to, None, unit).tolist() == [107, -124, 127]
    assert concat([values, values], [by, to], to, 0, unit).tolist() == [107, -124, 127, 103, -128, 127]


def test_the_sign_of_an_integer_by_a_unit():
    by, to = Encoding(INT8, 0.3, 3), Encoding(BIPOLAR, 0.7, 0)
    for unit in REQUANTIZERS.values():
        assert requantize(np.array([2, 3, 4], np.int8), by, to, None, unit).tolist() == [-1, 1, 1]


def test_requantize_of_wide_integers_takes_no_table():
    by, to = Encoding(INT16, 0.25, 100), Encoding(INT8, 0.5, 1)
    assert requantize(np.array([100, 103, 30_000], np.int16), by, to).tolist() == [1, 3, 127]


@settings(max_examples=60)
@given(encodings(), encodings(), encodings(), SEEDS)
def test_add_is_the_chain_of_fused_multiply_adds(a_by, b_by, to, seed):
    a, b = integers(seed, (20,), a_by.qtype), integers(seed + 1, (20,), b_by.qtype)
    ra, rb = (rounded(Fraction(by.scale) / Fraction(to.scale)) for by in (a_by, b_by))
    inner = rounded(Fraction(ra) * a_by.zero_point + Fraction(rounded(Fraction(rb) * b_by.zero_point)))
    constant = rounded(Fraction(to.zero_point) - Fraction(inner))
    expected = []
    for one, other in zip(a.tolist(), b.tolist(), strict=True):
        step = rounded(Fraction(other) * Fraction(rb) + Fraction(constant))
        total = rounded(Fraction(one) * Fraction(ra) + Fraction(step))
        expected.append(min(max(round(total), to.qtype.min), to.qtype.max))
    assert add(a, b, a_by, b_by, to).tolist() == expected


@given(encodings(), encodings(), encodings(), SEEDS, st.sampled_from(Sum))
def test_add_by_table_is_add_by_formula(a_by, b_by, to, seed, how):
    a, b = integers(seed, (4, 5), a_by.qtype), integers(seed + 1, (4, 5), b_by.qtype)
    clamp = (to.zero_point, to.qtype.max)
    for bounds in (None, clamp):
        table = add(a, b, a_by, b_by, to, bounds, how)
        np.testing.assert_array_equal(table, elementwise._FORMULAS[how](a, b, a_by, b_by, to, bounds))
        assert table.dtype == to.qtype.dtype
        np.testing.assert_array_equal(add(a.T, b.T, a_by, b_by, to, bounds, how), table.T)


@settings(max_examples=60)
@given(st.lists(encodings(), min_size=3, max_size=3), SEEDS, st.sampled_from([-128, 128]))
def test_add_does_not_depend_on_the_base_of_its_integers(by, seed, offset):
    signed = offset > 0
    files = [Encoding(QType(8, signed=not signed), one.scale, one.zero_point % 128) for one in by]
    moved = [Encoding(QType(8, signed=signed), one.scale, one.zero_point - offset, file_offset=offset) for one in files]
    a, b = (integers(seed + index, (200,), files[index].qtype) for index in range(2))
    a_moved, b_moved = ((x.astype(np.int64) - offset).astype(moved[0].qtype.dtype) for x in (a, b))
    expected = add(a, b, *files).astype(np.int64) - offset
    np.testing.assert_array_equal(add(a_moved, b_moved, *moved), expected)


@given(st.lists(encodings(), min_size=1, max_size=4), encodings(), st.integers(0, 3), SEEDS)
def test_concat_requantizes_each_part(by, to, axis, seed):
    parts = [integers(seed + index, (2, 3, 2, 4), one.qtype) for index, one in enumerate(by)]
    for unit in (None, REQUANTIZERS["mantissa16_half_away"]):
        whole = concat(parts, by, to, axis, unit)
        for part, one, found in zip(parts, by, np.split(whole, len(parts), axis), strict=True):
            np.testing.assert_array_equal(found, requantize(part, one, to, None, unit))


def test_concat_needs_an_encoding_for_each_part():
    part = np.zeros((1, 2), np.int8)
    with pytest.raises(ValueError, match="zip"):
        concat([part, part], [Encoding(INT8, 1.0, 0)], Encoding(INT8, 1.0, 0), 1)


@given(QTYPES, scales())
def test_views_with_strides_go_through_the_tables(qtype, scale):
    by, to = Encoding(qtype, scale, 0), Encoding(UINT8, scale, 7)
    values = integers(0, (6, 8), qtype)
    np.testing.assert_array_equal(requantize(values[::2, ::-3], by, to), requantize(values, by, to)[::2, ::-3])
