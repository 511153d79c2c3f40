from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.numerics.qtype import QType
from accel.numerics.requantize import REQUANTIZERS, float32_rne, multiplier
from tests.numerics.strategies import scales

INT8, UINT8 = QType(8, signed=True), QType(8, signed=False)


def by_hand(acc: int, scale: float, zero_point: int, low: int, high: int) -> int:
    """The formula one element at a time: exact products of float32 values, rounded by Fraction and numpy scalars."""
    product = np.float32(float(Fraction(float(np.float32(acc))) * Fraction(scale)))
    clamped = min(max(float(product), low - zero_point), high - zero_point)
    return round(clamped) + zero_point


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
    st.floats(2**-20, 2, width=32),
    st.sampled_from([INT8, UINT8, QType(4, signed=True), QType(16, signed=False)]),
    st.data(),
)
def test_float32_rne_is_the_formula(acc, scale, qtype, data):
    zero_point = data.draw(st.integers(qtype.min, qtype.max))
    low, high = sorted(data.draw(st.tuples(*[st.integers(qtype.min, qtype.max)] * 2)))
    for clamp, bounds in ((None, (qtype.min, qtype.max)), ((low, high), (low, high))):
        out = float32_rne(np.array(acc), scale, zero_point, qtype, clamp)
        assert out.dtype == qtype.dtype
        assert out.tolist() == [by_hand(value, scale, zero_point, *bounds) for value in acc]


def test_ties_go_to_even_before_the_zero_point_is_added():
    acc = np.array([1, 3, 5, -1, -3])
    assert float32_rne(acc, 0.5, 0, INT8).tolist() == [0, 2, 2, 0, -2]
    assert float32_rne(acc, 0.5, 1, INT8).tolist() == [1, 3, 3, 1, -1]


def test_the_accumulator_is_rounded_to_float32_first():
    # 2^24 + 1 is a tie between float32 neighbours and goes down; by half a step that decides 0.5 against 0.50000003.
    acc = np.array([(1 << 24) + 1])
    assert float32_rne(acc, 2.0**-25, 0, INT8).tolist() == [0]
    assert round(((1 << 24) + 1) * 2.0**-25) == 1


def test_values_far_outside_saturate():
    acc = np.array([2**62, -(2**62), 2**31 - 1])
    assert float32_rne(acc, 3e38, 5, UINT8).tolist() == [255, 0, 255]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 7))
def test_one_multiplier_for_each_column(seed, rows, columns):
    rng = np.random.default_rng(seed)
    acc = rng.integers(-(2**16), 2**16, (2, rows, columns))
    per_channel = rng.uniform(1e-4, 1e-2, columns).astype(np.float32)
    whole = float32_rne(acc, per_channel, 3, INT8)
    for column in range(columns):
        np.testing.assert_array_equal(whole[..., column], float32_rne(acc[..., column], per_channel[column], 3, INT8))


def test_blocks_join_without_seams():
    acc = np.arange(-200_000, 200_000).reshape(-1, 8)
    whole = float32_rne(acc, 1e-3, 0, INT8)
    rows = [float32_rne(row, 1e-3, 0, INT8) for row in acc[::4097]]
    np.testing.assert_array_equal(whole[::4097], rows)


@given(scales(), st.lists(scales(), min_size=1, max_size=4), scales())
def test_multiplier_rounds_the_product_then_the_quotient(x, w, y):
    expected = [np.float32(float(np.float32(x * weight)) / np.float64(y)) for weight in w]
    assert multiplier(x, w, y).tolist() == [float(value) for value in expected]
    assert multiplier(x, w, y).dtype == np.float32


def test_units_are_known_by_name():
    assert all(REQUANTIZERS[name].name == name for name in REQUANTIZERS)


def test_any_shape_goes_in_and_comes_out():
    for shape in ((), (3,), (2, 3), (2, 3, 4, 5), (0, 3)):
        assert float32_rne(np.zeros(shape, np.int64), 0.5, 1, INT8).shape == shape


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_accumulators_of_either_width(dtype):
    assert float32_rne(np.array([10, -10], dtype), 0.25, 0, INT8).tolist() == [2, -2]
