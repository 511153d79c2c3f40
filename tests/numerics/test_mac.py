import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.numerics.mac import (
    Accumulator,
    accumulate,
    bits_for,
    fold_zero_point,
    safe_bits,
    saturate,
    wrap,
)

WIDTHS = st.integers(1, 64)


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1), WIDTHS)
def test_wrap_keeps_the_residue(values, bits):
    wrapped = wrap(np.array(values), bits).tolist()
    assert all(-(1 << bits - 1) <= value < 1 << bits - 1 for value in wrapped)
    assert all((value - original) % (1 << bits) == 0 for value, original in zip(wrapped, values, strict=True))


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1), WIDTHS)
def test_saturate_takes_the_nearest(values, bits):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    assert saturate(np.array(values), bits).tolist() == [min(max(value, low), high) for value in values]


@given(st.integers(-(2**60), 2**60), st.integers(-(2**60), 2**60))
def test_bits_for_is_the_least_width(one, other):
    low, high = min(one, other), max(one, other)
    bits = bits_for(low, high)
    assert -(1 << bits - 1) <= low
    assert high < 1 << bits - 1
    narrower = bits - 1
    assert narrower == 0 or low < -(1 << narrower - 1) or high >= 1 << narrower - 1


def naive(x, weight, bias, accumulator, folds):
    """The triple loop, in Python integers."""
    overflows = 0

    def fit(value, bits):
        nonlocal overflows
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        if low <= value <= high:
            return value
        overflows += 1
        if accumulator.overflow == "saturate":
            return low if value < low else high
        return (value - low) % (1 << bits) + low

    sums = np.zeros((x.shape[0], weight.shape[1]), np.int64)
    for m in range(x.shape[0]):
        for n in range(weight.shape[1]):
            total = 0
            for fold in folds:
                partial = 0
                for k in fold:
                    partial = fit(partial + int(x[m, k]) * int(weight[k, n]), accumulator.partial_sum_bits)
                total = fit(total + partial, accumulator.bits)
            sums[m, n] = fit(total + int(bias[n]), accumulator.bits)
    return sums, overflows


@st.composite
def products(draw):
    m, k, n = draw(st.integers(1, 4)), draw(st.integers(1, 12)), draw(st.integers(1, 4))
    bits = draw(st.sampled_from([2, 4, 8, 16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    low, high = (-(1 << bits - 1), 1 << bits - 1) if draw(st.booleans()) else (0, 1 << bits)
    x, weight = rng.integers(low, high, (m, k)), rng.integers(-(1 << bits - 1), 1 << bits - 1, (k, n))
    bias = rng.integers(-(1 << 2 * bits), 1 << 2 * bits, n)
    order = rng.permutation(k)
    cuts = np.sort(rng.integers(0, k + 1, draw(st.integers(0, 3))))
    return x, weight, bias, np.split(order, cuts)


@settings(max_examples=300, deadline=None)
@given(products(), st.integers(1, 40), st.integers(1, 40), st.sampled_from(["wrap", "saturate"]))
def test_accumulate_is_the_triple_loop(operands, partial_sum_bits, bits, overflow):
    x, weight, bias, folds = operands
    accumulator = Accumulator(partial_sum_bits, bits, overflow)
    sums, overflows = accumulate(x, weight, bias, accumulator, folds)
    expected, count = naive(x, weight, bias, accumulator, folds)
    np.testing.assert_array_equal(sums, expected)
    assert overflows == count


@given(products())
def test_wide_accumulators_are_exact(operands):
    x, weight, bias, _ = operands
    expected = x @ weight + bias
    for accumulator in (None, Accumulator(64, 64, "saturate"), Accumulator(48, 48, "wrap")):
        sums, overflows = accumulate(x, weight, bias, accumulator)
        np.testing.assert_array_equal(sums, expected)
        assert overflows == 0


def test_sums_beyond_float32_and_float64_stay_exact():
    # 2^24 + 1 is no float32, 2^53 + 1 no float64: each pair of products adds up to one of them.
    x = np.array([[1 << 12, 1], [1 << 26, 1]])
    weight = np.array([[1 << 12], [1]])
    assert accumulate(x[:1], weight)[0].item() == (1 << 24) + 1
    weight = np.array([[1 << 27], [1]])
    assert accumulate(x[1:], weight)[0].item() == (1 << 53) + 1


def test_order_matters_to_saturation_and_not_to_wrapping():
    x, weight = np.array([[100, 100, -100]]), np.array([[1], [1], [1]])
    forward, backward = [np.array([0, 1, 2])], [np.array([2, 1, 0])]
    saturating, wrapping = Accumulator(8, 8, "saturate"), Accumulator(8, 8, "wrap")
    # 100 + 100 sticks at 127, then 27; -100 + 100 + 100 never overflows.
    assert accumulate(x, weight, None, saturating, forward) == (np.array([[27]]), 1)
    assert accumulate(x, weight, None, saturating, backward) == (np.array([[100]]), 0)
    # 200 wraps to -56, -156 wraps back to 100.
    assert accumulate(x, weight, None, wrapping, forward) == (np.array([[100]]), 2)
    assert accumulate(x, weight, None, wrapping, backward) == (np.array([[100]]), 0)


def test_a_wide_partial_sum_overflows_when_its_fold_is_added():
    # Two products of 100 fit 16 bits; their sum of 200 does not fit the accumulator's 8.
    sums, overflows = accumulate(np.array([[10, 10]]), np.array([[10], [10]]), None, Accumulator(16, 8, "saturate"))
    assert (sums.item(), overflows) == (127, 1)


def test_a_bias_alone_can_overflow():
    x, weight, bias = np.array([[0]]), np.array([[0]]), np.array([200])
    assert accumulate(x, weight, bias, Accumulator(8, 8, "saturate")) == (np.array([[127]]), 1)


@pytest.mark.parametrize("folds", [[[0]], [[0, 1], [1]], [[0, 2]]])
def test_folds_name_each_product_once(folds):
    narrow = Accumulator(4, 4, "wrap")
    with pytest.raises(ValueError, match="folds do not name each of the 2 products once"):
        accumulate(np.array([[9, 9]]), np.array([[9], [9]]), None, narrow, [np.array(fold) for fold in folds])


@given(products(), st.data())
def test_safe_bits_never_overflow_and_are_tight(operands, data):
    x, weight, bias, _ = operands
    low, high = int(x.min()), int(x.max())
    bits = safe_bits(weight.T, bias, low, high)
    order = np.array(data.draw(st.permutations(range(len(weight)))))
    corners = np.where(weight[:, :1].T > 0, high, low), np.where(weight[:, :1].T > 0, low, high)
    for row in (x, *corners):
        accumulator = Accumulator(64, bits, "wrap")
        assert naive(row, weight, bias, accumulator, [[k] for k in order])[1] == 0


def test_safe_bits_by_hand():
    # 3 * 255 - 2 * 0 = 765 at most, -2 * 255 = -510 at least; with the bias of 300: 1065 and -510.
    weight, bias = np.array([[3, -2]]), np.array([300])
    assert safe_bits(weight, None, 0, 255) == 11
    assert safe_bits(weight, bias, 0, 255) == 12
    # The bias is added last: a sum of 765 must fit before -300 brings it down.
    assert safe_bits(np.array([[3, 3]]), np.array([-1000]), 0, 255) == 12
    # Signed inputs: 3 * 127 + 2 * 128 = 637 and -3 * 128 - 2 * 127 = -638.
    assert safe_bits(weight, None, -128, 127) == 11


def test_safe_bits_of_the_longest_reduction_of_resnet():
    # K = 4608 at 8 x 8 bits signed: 4608 * 128 * 128 = 75,497,472 = 1.125 * 2^26 needs 28 bits.
    assert safe_bits(np.full((1, 4608), -128, np.int8), None, -128, 127) == 28


@given(products(), st.integers(-128, 127))
def test_the_zero_point_folds_into_the_bias(operands, zero_point):
    x, weight, bias, _ = operands
    folded = fold_zero_point(weight.T, bias, zero_point)
    np.testing.assert_array_equal(x @ weight + folded, (x - zero_point) @ weight + bias)


@pytest.mark.parametrize("widths", [(0, 8), (8, 65)])
def test_widths_have_limits(widths):
    with pytest.raises(ValueError, match="legal are 1 to 64 bits"):
        Accumulator(*widths, "wrap")
