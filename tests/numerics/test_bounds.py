"""Widths that never overflow: published figures, their order, and the extremes that prove each is neither too small."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.numerics.bounds import (
    a2q_bits,
    a2q_limit,
    a2q_plus_bits,
    a2q_plus_limit,
    data_type_bits,
    safe_widths,
)
from accel.numerics.mac import Accumulator, accumulate
from accel.numerics.qtype import BIPOLAR, QType
from tests.numerics.strategies import SEEDS, integers

SIGNED = QType(8, signed=True)
TYPES = st.one_of(st.builds(QType, st.integers(1, 8), st.booleans()), st.just(BIPOLAR))
SIGNED_TYPES = st.builds(QType, st.integers(2, 8), st.just(True))


@pytest.mark.parametrize(
    ("bits", "signed", "a2q", "a2q_plus"),
    [
        # (2^15 - 1) / 2^4 and (2^16 - 2) / (2^4 - 1)
        (4, False, Fraction(32767, 16), Fraction(65534, 15)),
        # (2^15 - 1) / 2^8 and (2^16 - 2) / (2^8 - 1)
        (8, False, Fraction(32767, 256), Fraction(65534, 255)),
        # one bit of a signed input is its sign: (2^15 - 1) / 2^7; A2Q+ does not depend on the sign
        (8, True, Fraction(32767, 128), Fraction(65534, 255)),
    ],
)
def test_limits_of_16_bits(bits, signed, a2q, a2q_plus):
    qtype = QType(bits, signed)
    assert a2q_limit(16, qtype) == a2q
    assert a2q_plus_limit(16, qtype) == a2q_plus


def test_published_limits():
    """A2Q and A2Q+ for a 16-bit accumulator and unsigned inputs of 4 and 8 bits, as rounded in print."""
    four, eight = QType(4, signed=False), QType(8, signed=False)
    assert [f"{float(a2q_limit(16, qtype)):.1f}" for qtype in (four, eight)] == ["2047.9", "128.0"]
    assert [f"{float(a2q_plus_limit(16, qtype)):.0f}" for qtype in (four, eight)] == ["4369", "257"]


@given(st.integers(0, 1 << 20), TYPES)
def test_bits_and_limits_are_two_sides_of_one_law(norm, qtype):
    bits = a2q_bits(norm, qtype)
    assert norm <= a2q_limit(bits, qtype)
    assert bits == 1 or norm > a2q_limit(bits - 1, qtype)
    even = 2 * norm
    bits = a2q_plus_bits(even, qtype)
    assert even <= a2q_plus_limit(bits, qtype)
    assert bits == 1 or even > a2q_plus_limit(bits - 1, qtype)


def test_data_type_by_hand():
    # ResNet-18's deepest sums: 512 x 3 x 3 = 4608 products of at most 2^14 are 2^26 x 1.125: 27 bits and a sign.
    assert data_type_bits(4608, SIGNED, SIGNED) == 28
    # Unsigned inputs reach twice as far.
    assert data_type_bits(4608, SIGNED, QType(8, signed=False)) == 29
    # 16 products of (-8) x (-8) are 1024: one more than 11 bits hold.
    assert data_type_bits(16, QType(4, signed=True), QType(4, signed=True)) == 12
    assert data_type_bits(15, QType(4, signed=True), QType(4, signed=True)) == 11
    assert data_type_bits(15, QType(4, signed=True), QType(4, signed=True), bias=64) == 12


@given(SEEDS, SIGNED_TYPES, TYPES, st.integers(1, 12), st.integers(0, 2000))
def test_finer_arguments_give_narrower_widths(seed, weight_type, input_type, products, largest_bias):
    rng = np.random.default_rng(seed)
    weight = integers(seed, (3, products), weight_type)
    bias = rng.integers(-largest_bias, largest_bias, 3, endpoint=True)
    widths = safe_widths(weight, weight_type, bias, input_type)
    assert widths.tightest <= widths.a2q <= widths.data_type


@given(SEEDS, SIGNED_TYPES, TYPES, st.integers(1, 6), st.integers(0, 2000), st.booleans())
def test_no_input_in_any_order_overflows(seed, weight_type, input_type, pairs, largest_bias, centre):
    """The inputs that reach farthest, added in a drawn order, in every width that claims to be safe."""
    rng = np.random.default_rng(seed)
    weight = integers(seed, (2, pairs), weight_type)
    weight = np.maximum(weight, weight_type.min + 1)
    weight = np.concatenate([weight, -weight if centre else weight], axis=1)
    bias = rng.integers(-largest_bias, largest_bias, 2, endpoint=True)
    widths = safe_widths(weight, weight_type, bias, input_type)
    assert widths.zero_centred == (not weight.sum(axis=1).any())
    assert widths.zero_centred or not centre
    claims = [widths.data_type, widths.a2q, widths.tightest, *([widths.a2q_plus] if widths.zero_centred else [])]
    high = np.where(weight > 0, input_type.max, input_type.min)
    low = np.where(weight > 0, input_type.min, input_type.max)
    x = np.concatenate([high, low]).astype(np.int64)
    order = [rng.permutation(2 * pairs)]
    for bits in claims:
        assert accumulate(x, weight.T, bias, Accumulator(bits, bits, "wrap"), order)[1] == 0


@given(SEEDS, SIGNED_TYPES, TYPES, st.integers(1, 12))
def test_the_tightest_is_reached(seed, weight_type, input_type, products):
    """Without bias, the inputs that reach farthest up or down overflow one bit less."""
    weight = integers(seed, (1, products), weight_type)
    bits = safe_widths(weight, weight_type, None, input_type).tightest
    if bits == 1:
        return
    high = np.where(weight > 0, input_type.max, input_type.min)
    low = np.where(weight > 0, input_type.min, input_type.max)
    x = np.concatenate([high, low]).astype(np.int64)
    assert accumulate(x, weight.T, None, Accumulator(bits - 1, bits - 1, "wrap"))[1] > 0


def test_bipolar_operands() -> None:
    """-1 and +1 on both sides: K products reach from -K to K."""
    weight = np.array([[1, -1, 1, 1, -1, -1, 1, -1]], np.int8)
    widths = safe_widths(weight, BIPOLAR, None, BIPOLAR)
    # 8 needs 5 signed bits; the weights add up to zero, which does not help where inputs may be -1.
    assert (widths.tightest, widths.a2q, widths.a2q_plus, widths.data_type) == (5, 5, 5, 5)


def test_bias_shifts_every_bound():
    weight = np.array([[1, -1]])
    without = safe_widths(weight, SIGNED, None, SIGNED)
    # |x1 - x2| <= 255, A2Q allows 256, the types 2 x 128 x 128.
    assert (without.tightest, without.a2q, without.a2q_plus, without.data_type) == (9, 10, 9, 17)
    shifted = safe_widths(weight, SIGNED, np.array([-(1 << 17)]), SIGNED)
    assert (shifted.tightest, shifted.a2q, shifted.a2q_plus, shifted.data_type) == (19, 19, 19, 19)
    assert shifted.zero_centred
