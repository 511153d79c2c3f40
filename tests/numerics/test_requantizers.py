"""Each requantizer against its formula in Python's integers, which have no width."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accel.numerics.qtype import QType
from accel.numerics.requantize import REQUANTIZERS, FixedPoint, float32_rne
from accel.numerics.requantize.rounding import Rounding, shift_right

INT8, UINT8 = QType(8, signed=True), QType(8, signed=False)
TYPES = [INT8, UINT8, QType(1, signed=False), QType(4, signed=True), QType(16, signed=False), QType(16, signed=True)]
FIXED = [name for name in REQUANTIZERS if name != "float32_rne"]
Q31 = [name for name in FIXED if name.startswith("q31")]
TWICE = ["q31_double_rounding", "q31_floor_nudge"]
SHIFTS = ["shift_rne", "shift_floor", "shift_half_up"]
LARGEST_SHIFT = 63


# ---------------------------------------------------------------------- the formulas, one integer at a time


def truncated(a: int, b: int) -> int:
    """a / b as C divides."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def half_up(x: int, places: int) -> int:
    return (x + (1 << places >> 1)) >> places


def half_away(x: int, places: int) -> int:
    return (1 if x >= 0 else -1) * half_up(abs(x), places)


def saturating_rounding_doubling_high_mul(a: int, b: int) -> int:
    """gemmlowp's, without the one case that saturates: a factor is never -2^31."""
    product = a * b
    return truncated(product + (1 << 30 if product >= 0 else 1 - (1 << 30)), 1 << 31)


def rounding_divide_by_pot(x: int, exponent: int) -> int:
    """gemmlowp's: what is shifted out, compared with half of it; for negative numbers with a little more."""
    mask = (1 << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def double_rounding(x: int, factor: int, shift: int) -> int:
    left, right = max(31 - shift, 0), max(shift - 31, 0)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(x << left, factor), right)


def floor_nudge(x: int, factor: int, shift: int) -> int:
    left, right = max(31 - shift, 0), max(shift - 31, 0)
    return half_up(((x << left) * factor + (1 << 30)) >> 31, right)


FORMULAS = {
    "q31_double_rounding": double_rounding,
    "q31_floor_nudge": floor_nudge,
    "q31_half_away": lambda x, factor, shift: half_away(x * factor, shift),
    "q31_half_up": lambda x, factor, shift: half_up(x * factor, shift),
    "mantissa16_half_away": lambda x, factor, shift: half_away(x * factor, shift),
    "mantissa8_half_away": lambda x, factor, shift: half_away(x * factor, shift),
    "shift_rne": lambda x, factor, shift: round(Fraction(x, 1 << shift)),
    "shift_floor": lambda x, factor, shift: x // (1 << shift),
    "shift_half_up": lambda x, factor, shift: math.floor(Fraction(x, 1 << shift) + Fraction(1, 2)),
    "shared_exponent8": lambda x, factor, shift: half_up(x * factor, shift),
}
FACTOR_BITS = dict.fromkeys(Q31, 31) | {
    "mantissa16_half_away": 15,
    "mantissa8_half_away": 7,
    "shared_exponent8": 7,
    **dict.fromkeys(SHIFTS, 0),
}


def fixed(name: str) -> FixedPoint:
    unit = REQUANTIZERS[name]
    assert isinstance(unit, FixedPoint)
    return unit


def word(name: str, factor: int, shift: int) -> int:
    bits = FACTOR_BITS[name]
    return shift << bits | (factor if bits else 0)


@st.composite
def factors_and_shifts(draw: st.DrawFn, name: str) -> tuple[int, int]:
    """Any word of the unit: normalized factors, those at the ends among them; shifts over the whole range."""
    bits = FACTOR_BITS[name]
    least, greatest = (1 << bits >> 1, (1 << bits) - 1) if bits else (1, 1)
    if name == "shared_exponent8":
        least = 0
    factor = draw(st.sampled_from([least, greatest]) | st.integers(least, greatest))
    return factor, draw(st.integers(0, 62 if name in TWICE else LARGEST_SHIFT))


def sums_around(name: str, factor: int, shift: int) -> st.SearchStrategy[int]:
    """Sums of any magnitude, and sums whose product is near a tie of an integer of a few bits, or on it."""
    limit = 2**63
    anywhere = st.integers(-limit, limit - 1) | st.integers(-(2**31), 2**31 - 1) | st.integers(-300, 300)
    ends = st.sampled_from([limit - 1, -limit, 2**31, 2**31 - 1, -(2**31), -(2**31) - 1, 0, 1, -1])
    if not factor:
        return anywhere | ends
    ties = st.builds(
        lambda k, near: max(-limit, min(limit - 1, ((2 * k + 1) << shift) // (2 * factor) + near)),
        st.integers(-(2**16), 2**16) | st.integers(-9, 9),
        st.integers(-1, 1),
    )
    return anywhere | ends | ties


@pytest.mark.parametrize("name", FIXED)
@given(st.data())
def test_formula(name: str, data: st.DataObject) -> None:
    factor, shift = data.draw(factors_and_shifts(name))
    sums = data.draw(st.lists(sums_around(name, factor, shift), min_size=1, max_size=12))
    qtype = data.draw(st.sampled_from(TYPES))
    zero_point = data.draw(st.integers(qtype.min, qtype.max))
    low, high = sorted(data.draw(st.tuples(*[st.integers(qtype.min, qtype.max)] * 2)))
    words = np.array(word(name, factor, shift))
    for clamp, (least, greatest) in ((None, (qtype.min, qtype.max)), ((low, high), (low, high))):
        out = REQUANTIZERS[name].apply(np.array(sums, np.int64), words, zero_point, qtype, clamp)
        wanted = [FORMULAS[name](x, factor, shift) + zero_point for x in sums]
        assert out.dtype == qtype.dtype
        assert out.tolist() == [min(max(value, least), greatest) for value in wanted]


@pytest.mark.parametrize("name", FIXED)
def test_every_small_sum_at_every_small_shift(name: str) -> None:
    """All ties of both signs: products of odd and even factors, shifted until nothing is left."""
    bits = FACTOR_BITS[name]
    sums = np.arange(-130, 131)
    for factor in {1 << bits >> 1, (1 << bits >> 1) + 1, (1 << bits) - 1} if bits else {1}:
        for shift in range(max(0, bits - 3), bits + 12):
            out = REQUANTIZERS[name].apply(sums, np.array(word(name, factor, shift)), 0, INT8)
            wanted = [min(max(FORMULAS[name](int(x), factor, shift), -128), 127) for x in sums]
            assert out.tolist() == wanted, (factor, shift)


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_wide_sums_take_the_same_way(name: str, dtype: type) -> None:
    """One sum beyond 32 bits must not change what becomes of the others."""
    rng = np.random.default_rng(3)
    bits = FACTOR_BITS[name]
    sums = rng.integers(-(2**31), 2**31, 2000) >> rng.integers(0, 31, 2000)
    for shift in (0, 5, 30, 31, 32, 40, 62):
        words = np.array(word(name, (1 << bits) - 3 if bits else 1, shift))
        alone = REQUANTIZERS[name].apply(sums.astype(dtype), words, 3, INT8)
        beside = REQUANTIZERS[name].apply(np.append(sums, 2**62), words, 3, INT8)
        np.testing.assert_array_equal(alone, beside[:-1])


@pytest.mark.parametrize("name", REQUANTIZERS)
def test_a_word_for_each_channel(name: str) -> None:
    rng = np.random.default_rng(1)
    unit = REQUANTIZERS[name]
    sums = rng.integers(-(2**20), 2**20, (3, 40, 5))
    words = unit.encode(rng.uniform(2**-14, 2**-12, 5).astype(np.float32))
    whole = unit.apply(sums, words, -3, INT8)
    for channel in range(5):
        np.testing.assert_array_equal(whole[..., channel], unit.apply(sums[..., channel], words[channel], -3, INT8))


@pytest.mark.parametrize("name", REQUANTIZERS)
def test_any_shape_goes_in_and_comes_out(name: str) -> None:
    unit = REQUANTIZERS[name]
    for shape in ((), (3,), (2, 3), (2, 3, 4, 5), (0, 3)):
        assert unit.apply(np.zeros(shape, np.int64), unit.encode(0.5), 1, INT8).shape == shape


# ------------------------------------------------------------------------------------------ how scales are written


@pytest.mark.parametrize("name", Q31)
@given(st.floats(2**-31, 2**30, width=32))
def test_31_bits_hold_every_float32(name: str, scale: float) -> None:
    """24 bits of significand fit."""
    assert REQUANTIZERS[name].decode(REQUANTIZERS[name].encode(scale)) == scale


@pytest.mark.parametrize("name", Q31)
@example(1 - 2**-40)
@given(st.floats(2**-31, 2**30))
def test_q31_is_the_nearest_of_a_float64(name: str, scale: float) -> None:
    """TensorFlow Lite's QuantizeMultiplier: frexp, times 2^31, rounded half away; 2^31 becomes 2^30 of the next."""
    factor, shift = (int(part) for part in fixed(name).parts(REQUANTIZERS[name].encode(scale)))
    fraction, exponent = math.frexp(scale)
    wanted = math.floor(Fraction(fraction) * 2**31 + Fraction(1, 2))
    if wanted == 2**31:
        wanted, exponent = 2**30, exponent + 1
    assert (factor, shift) == (wanted, 31 - exponent)


@pytest.mark.parametrize(("name", "bits"), [("mantissa16_half_away", 15), ("mantissa8_half_away", 7)])
@given(st.floats(2**-30, 100, width=32))
def test_mantissas_are_normalized_and_nearest(name: str, bits: int, scale: float) -> None:
    factor, shift = (int(part) for part in fixed(name).parts(REQUANTIZERS[name].encode(scale)))
    assert 2 ** (bits - 1) <= factor < 2**bits
    assert abs(Fraction(factor, 2**shift) - Fraction(scale)) <= Fraction(1, 2 ** (shift + 1))


@pytest.mark.parametrize("name", ["shift_rne", "shift_floor"])
@example(0.75)
@given(st.floats(2**-40, 1.484375, width=32))
def test_shifts_take_the_nearest_power_of_two(name: str, scale: float) -> None:
    shift = int(REQUANTIZERS[name].encode(scale))
    nearest = Fraction(1, 2**shift)
    for other in (nearest / 2, nearest * 2):
        assert abs(nearest - Fraction(scale)) <= abs(other - Fraction(scale))
    assert REQUANTIZERS[name].encode(0.75) == 0


@given(st.floats(2**-40, 1, width=32))
def test_llsq_takes_the_power_of_two_above(scale: float) -> None:
    shift = int(REQUANTIZERS["shift_half_up"].encode(scale))
    assert Fraction(1, 2 ** (shift + 1)) < Fraction(scale) <= Fraction(1, 2**shift)


def truncation(scales: list[float]) -> tuple[list[int], int]:
    """LLSQ's function of that name, in steps: integers, and the places behind the binary point."""
    integer_length = math.ceil(math.log2(max(scales)) + 1 - 1e-5)
    steps = [round(Fraction(scale) * Fraction(2) ** (8 - integer_length)) for scale in scales]
    return [min(max(step, -128), 127) for step in steps], 8 - integer_length


@given(st.lists(st.floats(2**-30, 100, width=32), min_size=1, max_size=6))
def test_one_exponent_for_all_channels(scales: list[float]) -> None:
    unit = fixed("shared_exponent8")
    factors, shifts = unit.parts(unit.encode(scales))
    wanted, shift = truncation(scales)
    assert factors.tolist() == wanted
    assert set(shifts.tolist()) == {shift}


def test_shared_exponent_by_hand() -> None:
    """0.4 is 102.4 steps of 2^-8, the others 25.6 and 0.256; of the largest scales 127 steps are the most."""
    unit = fixed("shared_exponent8")
    assert unit.decode(unit.encode([0.4, 0.1, 0.001])).tolist() == [102 / 256, 26 / 256, 0]
    assert unit.decode(unit.encode([1.0, 0.5])).tolist() == [127 / 128, 64 / 128]


@pytest.mark.parametrize("name", REQUANTIZERS)
def test_words_keep_within_their_width(name: str) -> None:
    unit = REQUANTIZERS[name]
    words = unit.encode(np.float32([2**-20, 0.3, 0.9999999, 1.0]))
    assert words.min() >= 0
    assert words.max() < 1 << unit.word_bits


def test_multipliers_of_either_width_make_the_same_words() -> None:
    scales = np.random.default_rng(0).uniform(1e-6, 1, 100).astype(np.float32)
    for unit in REQUANTIZERS.values():
        assert unit.encode(scales).tolist() == unit.encode(scales.astype(np.float64)).tolist()


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("wrong", [0.0, -0.0, -0.5, math.inf, -math.inf, math.nan])
def test_only_positive_finite_scales(name: str, wrong: float) -> None:
    unit = REQUANTIZERS[name]
    assert unit.problem([0.5, wrong]) == f"its scale is {wrong:g}, and {name} takes positive finite ones"
    with pytest.raises(ValueError, match="positive finite"):
        unit.encode([0.5, wrong])


@pytest.mark.parametrize("wrong", [math.inf, math.nan])
def test_float32_takes_finite_scales(wrong: float) -> None:
    assert REQUANTIZERS["float32_rne"].problem([0.5, wrong]) == f"its scale is {wrong:g}"


@pytest.mark.parametrize(
    ("name", "least", "beyond_least", "greatest", "beyond_greatest"),
    [
        ("q31_double_rounding", 2.0**-32, 0.99 * 2**-32, 0.999 * 2**31, 2.0**31),
        ("q31_half_up", 2.0**-33, 0.99 * 2**-33, 0.999 * 2**31, 2.0**31),
        ("mantissa16_half_away", 2.0**-49, 0.99 * 2**-49, 0.999 * 2**15, 2.0**15),
        ("mantissa8_half_away", 2.0**-57, 0.99 * 2**-57, 127, 128),
        ("shift_rne", 0.75 * 2**-63, 0.74 * 2**-63, 1.49, 1.5),
        ("shift_floor", 0.75 * 2**-63, 0.74 * 2**-63, 1.49, 1.5),
        ("shift_half_up", 0.51 * 2**-63, 0.5 * 2**-63, 1, 1.01),
        ("shared_exponent8", 0.51 * 2**-55, 0.5 * 2**-56, 128, 129),
    ],
)
def test_range_of_scales(name: str, least: float, beyond_least: float, greatest: float, beyond_greatest: float) -> None:
    unit = REQUANTIZERS[name]
    for fine in (least, greatest):
        assert unit.problem(fine) == ""
        assert float(unit.decode(unit.encode(fine))) == pytest.approx(fine, rel=0.99 if name in SHIFTS else 0.01)
    for wrong in (beyond_least, beyond_greatest):
        assert f"its scale is {wrong:g}, and {name} takes those from about" in unit.problem(wrong)


# --------------------------------------------------------------------------------------------------------- the rest


def test_float32_is_its_function() -> None:
    rng = np.random.default_rng(5)
    sums, scales = rng.integers(-(2**31), 2**31, (400, 7)), rng.uniform(0, 1e-6, 7).astype(np.float32)
    unit = REQUANTIZERS["float32_rne"]
    words = unit.encode(scales)
    assert words.tolist() == scales.view(np.uint32).tolist()
    np.testing.assert_array_equal(
        unit.apply(sums, words, 3, UINT8, (4, 200)), float32_rne(sums, scales, 3, UINT8, (4, 200))
    )


@given(st.integers(-(2**62), 2**62), st.integers(0, 63), st.sampled_from(Rounding))
def test_shift_right(value: int, places: int, rounding: Rounding) -> None:
    exact = Fraction(value, 1 << places)
    wanted = {
        Rounding.FLOOR: math.floor(exact),
        Rounding.HALF_UP: math.floor(exact + Fraction(1, 2)),
        Rounding.HALF_AWAY: math.floor(abs(exact) + Fraction(1, 2)) * (-1 if exact < 0 else 1),
        Rounding.HALF_EVEN: round(exact),
    }
    assert int(shift_right(np.array(value), np.int64(places), rounding)) == wanted[rounding]


def test_where_the_roundings_differ() -> None:
    """Half of 1 and half of 3 are ties."""
    sums = np.array([-3, -1, 1, 3])
    # Alone, 0.5 would be the 127 steps of 2^-8 that are the most for a layer's largest scale.
    words = {name: REQUANTIZERS[name].encode([0.5, 0.9])[0] for name in FIXED}
    ways = {name: REQUANTIZERS[name].apply(sums, word, 0, INT8).tolist() for name, word in words.items()}
    away, up = [-2, -1, 1, 2], [-1, 0, 1, 2]
    assert ways == {
        # By 31 places in one go, and half up it is.
        "q31_double_rounding": up,
        "q31_floor_nudge": up,
        "q31_half_away": away,
        "q31_half_up": up,
        "mantissa16_half_away": away,
        "mantissa8_half_away": away,
        "shift_rne": [-2, 0, 0, 2],
        "shift_floor": [-2, -1, 0, 1],
        "shift_half_up": up,
        "shared_exponent8": up,
    }


def test_rounding_twice_is_not_rounding_once() -> None:
    """3 * 2^20 - 1 times 2^-21 is a little less than 1.5. Shifted by one place first it is a tie that goes up, and then
    3 * 2^19 steps of 2^-20, which is a tie again."""
    sums = np.array([3 * 2**20 - 1])
    made = {name: REQUANTIZERS[name].apply(sums, REQUANTIZERS[name].encode(2.0**-21), 0, INT8).item() for name in Q31}
    assert made == {"q31_double_rounding": 2, "q31_floor_nudge": 2, "q31_half_away": 1, "q31_half_up": 1}


def test_the_second_rounding_differs_below_zero() -> None:
    """By 2^-2: 31 places leave half of the sum, and one place more what is here."""
    sums = np.array([-6, -2, 2, 6])
    made = {name: REQUANTIZERS[name].apply(sums, REQUANTIZERS[name].encode(0.25), 0, INT8).tolist() for name in TWICE}
    assert made == {"q31_double_rounding": [-2, -1, 1, 2], "q31_floor_nudge": [-1, 0, 1, 2]}
