import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accel.numerics.elementwise import dequantize, quantize
from accel.numerics.encoding import Encoding
from accel.numerics.pool import Mean, average_pool, max_pool, output_size, window_counts
from accel.numerics.qtype import BIPOLAR, QType
from accel.numerics.requantize import REQUANTIZERS
from tests.numerics.strategies import SEEDS, encodings, integers, scales

INT8 = QType(8, signed=True)


@st.composite
def windows(draw, dilated):
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilations = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) if dilated else (1, 1)
    pads = tuple(draw(st.integers(0, kernel[axis % 2] - 1)) for axis in range(4))
    for axis, size in enumerate((height, width)):
        assume(size + pads[axis] + pads[axis + 2] > dilations[axis] * (kernel[axis] - 1))
    return (height, width), kernel, strides, dilations, pads


def window_elements(x, row, column, kernel, strides, dilations, pads):
    """What one window sees, padding left out, rows first."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            y = row * strides[0] + i * dilations[0] - pads[0]
            z = column * strides[1] + j * dilations[1] - pads[1]
            if 0 <= y < x.shape[2] and 0 <= z < x.shape[3]:
                yield x[:, :, y, z]


@given(windows(dilated=True), st.booleans(), SEEDS)
def test_max_pool_is_the_maximum_of_each_window(window, signed, seed):
    size, kernel, strides, dilations, pads = window
    x = integers(seed, (2, 3, *size), QType(8, signed=signed))
    out = max_pool(x, kernel, strides, dilations, pads)
    assert out.dtype == x.dtype
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            seen = list(window_elements(x, row, column, kernel, strides, dilations, pads))
            if seen:
                np.testing.assert_array_equal(out[:, :, row, column], np.max(seen, axis=0))


def test_padding_never_wins():
    x = np.full((1, 1, 2, 2), -100, np.int8)
    assert max_pool(x, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)).tolist() == [[[[-100, -100], [-100, -100]]]]


def mean_by_hand(seen, count, by, to, mean, bounds):
    f32 = np.float32
    low, high = bounds
    exact = sum(part.astype(np.int64) - by.zero_point for part in seen)
    n, sx, sy, z = f32(count), f32(by.scale), f32(to.scale), to.zero_point
    if mean is Mean.SCALED:
        return np.clip(np.rint(exact.astype(f32) * (sx / (sy * n))), low - z, high - z) + z
    if mean is Mean.UNROUNDED:
        return np.clip(np.rint(exact.astype(f32) * sx / n / sy), low - z, high - z) + z
    total = np.zeros(exact.shape, f32)
    for part in seen:
        total = total + dequantize(part, by)
    return np.clip(np.rint(total / n / sy + f32(z)), low, high)


@settings(max_examples=150)
@given(windows(dilated=False), encodings(), encodings(), st.sampled_from(Mean), st.booleans(), SEEDS, st.data())
def test_average_pool_is_its_formula_in_each_window(window, by, to, mean, include_pad, seed, data):
    size, kernel, strides, _, pads = window
    x = integers(seed, (2, 3, *size), by.qtype)
    to = Encoding(to.qtype, by.scale, to.zero_point) if data.draw(st.booleans()) else to
    clamp = data.draw(st.none() | st.just((to.zero_point, to.qtype.max)))
    out = average_pool(x, by, to, kernel, strides, pads, include_pad, clamp, mean)
    assert out.dtype == to.qtype.dtype
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            seen = list(window_elements(x, row, column, kernel, strides, (1, 1), pads))
            assume(seen)
            count = kernel[0] * kernel[1] if include_pad else len(seen)
            expected = mean_by_hand(seen, count, by, to, mean, clamp or (to.qtype.min, to.qtype.max))
            np.testing.assert_array_equal(out[:, :, row, column], expected)


@given(
    windows(dilated=False),
    encodings(),
    encodings(),
    st.booleans(),
    SEEDS,
    st.booleans(),
    st.sampled_from(["q31_floor_nudge", "mantissa8_half_away", "shared_exponent8"]),
)
def test_average_pool_by_a_unit_scales_exact_sums(window, by, to, include_pad, seed, clamped, name):
    """Each by its own number of elements, however many others there are: tiles see some of the windows only."""
    size, kernel, strides, _, pads = window
    x, unit = integers(seed, (2, 3, *size), by.qtype), REQUANTIZERS[name]
    counts = window_counts(size, kernel, strides, pads, include_pad)
    assume(counts.min() > 0 and not unit.problem(np.float32(by.scale) / np.float32(to.scale)))
    clamp = (to.zero_point, to.qtype.max) if clamped else None
    out = average_pool(x, by, to, kernel, strides, pads, include_pad, clamp, Mean.OF_REALS, unit)
    assert out.dtype == to.qtype.dtype
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            seen = list(window_elements(x, row, column, kernel, strides, (1, 1), pads))
            count = kernel[0] * kernel[1] if include_pad else len(seen)
            assert counts[row, column] == count
            sums = sum((part.astype(np.int64) - by.zero_point for part in seen), start=np.zeros((2, 3), np.int64))
            word = unit.encode(np.float32(by.scale) / (np.float32(to.scale) * np.float32(count)))
            expected = unit.apply(sums, word, to.zero_point, to.qtype, clamp)
            np.testing.assert_array_equal(out[:, :, row, column], expected)


def test_the_sign_of_a_mean_by_a_unit():
    by, to = Encoding(INT8, 0.5, 1), Encoding(BIPOLAR, 1.0, 0)
    x = np.array([[[[0, 1, 2, 2]]]], np.int8)
    unit = REQUANTIZERS["shift_floor"]
    assert average_pool(x, by, to, (1, 2), (1, 1), unit=unit).ravel().tolist() == [-1, 1, 1]


def test_a_tie_falls_by_the_formula():
    # The sum of 1, 2, 3, 4 is 10, the mean 2.5: half to even before an odd zero point gives 2 + 1, after it 3.5 to 4.
    x = np.array([1, 2, 3, 4], np.int8).reshape(1, 1, 2, 2)
    by, to = Encoding(INT8, 1.0, 0), Encoding(INT8, 1.0, 1)
    found = {mean: average_pool(x, by, to, (2, 2), mean=mean).item() for mean in Mean}
    assert found == {Mean.SCALED: 3, Mean.UNROUNDED: 3, Mean.OF_REALS: 4}


@given(encodings(), SEEDS)
def test_the_mean_of_equal_elements_is_the_element(encoding, seed):
    value = integers(seed, (), encoding.qtype)
    x = np.full((1, 2, 4, 4), value)
    for mean in Mean:
        out = average_pool(x, encoding, encoding, (2, 2), (2, 2), mean=mean)
        assert np.unique(out).tolist() == [value]


@given(scales(), st.integers(0, 255), scales(), st.integers(0, 255), st.sampled_from(Mean), SEEDS)
def test_average_pool_does_not_depend_on_the_base_of_its_integers(sx, zx, sy, zy, mean, seed):
    uint8 = QType(8, signed=False)
    x = integers(seed, (1, 8, 5, 5), uint8)
    file = average_pool(x, Encoding(uint8, sx, zx), Encoding(uint8, sy, zy), (3, 2), mean=mean)
    moved_by, moved_to = Encoding(INT8, sx, zx - 128, 128), Encoding(INT8, sy, zy - 128, 128)
    moved = average_pool((x.astype(int) - 128).astype(np.int8), moved_by, moved_to, (3, 2), mean=mean)
    np.testing.assert_array_equal(moved.astype(int) + 128, file)


@given(encodings(), SEEDS)
def test_a_unit_window_only_requantizes(encoding, seed):
    x = integers(seed, (1, 2, 3, 3), encoding.qtype)
    to = Encoding(INT8, encoding.scale * 2, 0)
    expected = quantize(dequantize(x, encoding), to)
    np.testing.assert_array_equal(average_pool(x, encoding, to, (1, 1), mean=Mean.UNROUNDED), expected)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "pads", "expected"),
    [(224, 7, 2, 1, 6, 112), (112, 3, 2, 1, 2, 56), (8, 3, 1, 2, 4, 8), (5, 5, 1, 1, 0, 1)],
)
def test_output_size(size, kernel, stride, dilation, pads, expected):
    assert output_size(size, kernel, stride, dilation, pads) == expected
