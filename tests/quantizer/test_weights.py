"""Weights against numpy formulas: scales, roundings, bounds."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accel.errors import AccelError
from accel.quantizer.options import QuantizeOptions
from accel.quantizer.rounding import ROUNDINGS
from accel.quantizer.weights import quantize_weight, weight_scale

SEEDS = st.integers(0, 2**32 - 1)
BITS = st.integers(2, 16)
HALF = Fraction(1, 2)
EXACT = {
    "half_even": lambda x: round(x),
    "half_up": lambda x: floor(x + HALF),
    "floor": floor,
}


def weights(seed: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scales = 10 ** rng.uniform(-3, 2, (channels, 1, 1, 1))
    return (rng.standard_t(3, (channels, 2, 3, 3)) * scales).astype(np.float32)


@given(
    st.one_of(
        st.integers(-1000, 1000).map(lambda twice: twice / 2),
        st.floats(-1000, 1000, width=32),
        st.sampled_from([0.49999997, -0.49999997, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5, 8388609.0]),
    ),
    st.sampled_from(["half_even", "half_up", "floor"]),
)
def test_roundings_are_exact_ties_included(value, rounding) -> None:
    """0.49999997 + 1/2 is 1 in float32; rounded up it is still 0."""
    single = np.float32(value)
    assert int(ROUNDINGS[rounding](np.array([single]))[0]) == EXACT[rounding](Fraction(float(single)))


@given(SEEDS, BITS, st.sampled_from(["max_abs", "aqt"]), st.sampled_from(list(EXACT)))
def test_the_largest_weight_of_each_channel_is_the_largest_integer(seed, bits, bounds, rounding) -> None:
    """s = bound / (2^(b-1) - 1), then clamp(round(w / s)): AQT's formula with its s turned over."""
    real = weights(seed)
    options = QuantizeOptions(weight_bounds=bounds, rounding=rounding)
    scale, zeros = weight_scale(real, bits, options, "net:conv")
    top = 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(scale, np.abs(real).max(axis=(1, 2, 3)) / np.float32(top))
    made = quantize_weight(real, bits, scale, options)
    assert (zeros, str(made.qtype), made.values.shape) == ([], f"int{bits}", real.shape)
    for channel, values in enumerate(made.values):
        steps = real[channel] / scale[channel]
        expected = [min(max(EXACT[rounding](Fraction(float(step))), -top), top) for step in steps.ravel()]
        assert values.ravel().tolist() == expected
    np.testing.assert_array_equal(made.real(), made.values.astype(np.float32) * scale[:, None, None, None])


@given(SEEDS, st.integers(2, 8))
def test_least_squares_beats_every_candidate(seed, bits) -> None:
    """All 64 shares of the largest weight, each tried here in float64."""
    real = weights(seed)
    options = QuantizeOptions(weight_bounds="mse")
    scale, _ = weight_scale(real, bits, options, "")
    error = ((quantize_weight(real, bits, scale, options).real().astype(np.float64) - real) ** 2).sum(axis=(1, 2, 3))
    top = 2 ** (bits - 1) - 1
    for share in np.arange(1, 65) / 64:
        step = np.abs(real).max(axis=(1, 2, 3), keepdims=True).astype(np.float64) * share / top
        other = np.clip(np.rint(real / step), -top, top) * step
        assert (error <= ((other - real) ** 2).sum(axis=(1, 2, 3)) * (1 + 1e-4) + 1e-30).all()


@given(SEEDS, st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_percentile(seed, percentile) -> None:
    real = weights(seed)
    scale, _ = weight_scale(real, 8, QuantizeOptions(weight_bounds="percentile", percentile=percentile), "")
    ordered = np.sort(np.abs(real).reshape(3, -1), axis=1)
    place = ceil((ordered.shape[1] - 1) * percentile / 100)
    np.testing.assert_array_equal(scale, ordered[:, place] / np.float32(127))


@given(SEEDS, BITS, st.sampled_from(["max_abs", "mse"]))
def test_one_scale_for_the_tensor(seed, bits, bounds) -> None:
    """What a single channel of all weights gets."""
    real = weights(seed)
    options = QuantizeOptions(weight_bounds=bounds, granularity="tensor")
    scale, _ = weight_scale(real, bits, options, "")
    assert scale.shape == (1,)
    together, _ = weight_scale(real.reshape(1, -1), bits, QuantizeOptions(weight_bounds=bounds), "")
    np.testing.assert_array_equal(scale, together)
    np.testing.assert_array_equal(
        quantize_weight(real, bits, scale, options).values.ravel(),
        quantize_weight(real.reshape(1, -1), bits, scale, options).values.ravel(),
    )


@given(SEEDS)
def test_one_bit_is_the_sign(seed) -> None:
    """Of a * sign(w), the mean magnitude a makes the least squared error: its derivative is zero there."""
    real = weights(seed)
    scale, _ = weight_scale(real, 1, QuantizeOptions(weight_bounds="mse"), "")
    made = quantize_weight(real, 1, scale, QuantizeOptions())
    np.testing.assert_array_equal(made.values, np.where(real < 0, -1, 1))
    np.testing.assert_allclose(scale, np.abs(real).mean(axis=(1, 2, 3), dtype=np.float64), rtol=1e-5)


@given(SEEDS, BITS)
def test_more_bits_are_closer(seed, bits) -> None:
    """Half a step at most, and a step is the largest weight over 2^(b-1) - 1."""
    real = weights(seed)
    options = QuantizeOptions(weight_bounds="max_abs")
    scale, _ = weight_scale(real, bits, options, "")
    error = np.abs(quantize_weight(real, bits, scale, options).real().astype(np.float64) - real).max(axis=(1, 2, 3))
    assert (error <= scale * (0.5 + 2.0 ** (bits - 22))).all()


@given(SEEDS, st.sampled_from(["max_abs", "mse", "percentile"]), BITS)
def test_a_channel_of_zeros_takes_the_largest_scale(seed, bounds, bits) -> None:
    real = weights(seed)
    assume(np.abs(real).max() > 0)
    real[1] = 0
    options = QuantizeOptions(weight_bounds=bounds)
    scale, zeros = weight_scale(real, bits, options, "")
    assert zeros == [1]
    assert scale[1] == max(scale[0], scale[2])
    assert not quantize_weight(real, bits, scale, options).values[1].any()


def test_a_layer_of_zeros_has_scale_one() -> None:
    scale, zeros = weight_scale(np.zeros((2, 3), np.float32), 4, QuantizeOptions(), "")
    assert (scale.tolist(), zeros) == ([1.0, 1.0], [0, 1])


def test_a_scale_below_the_normal_numbers() -> None:
    real = weights(0)
    real[2] = 1e-37
    with pytest.raises(AccelError) as error:
        weight_scale(real, 8, QuantizeOptions(weight_bounds="max_abs"), "net.onnx:conv")
    assert str(error.value) == (
        "net.onnx:conv: the weights of channel 2 reach 1e-37, and their scale is no normal float32; "
        "prune that channel, or scale it up in training"
    )


def test_one_bit_holds_no_zero() -> None:
    real = weights(0)
    real[2] = 0
    with pytest.raises(AccelError) as error:
        weight_scale(real, 1, QuantizeOptions(), "net.onnx:conv")
    assert str(error.value) == (
        "net.onnx:conv: all weights of channel 2 are zero, which one bit does not hold; give the layer 2 bits"
    )
