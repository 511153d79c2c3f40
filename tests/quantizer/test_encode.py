"""Encodings of activations against the formulas, written out in numpy."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accel.errors import AccelError
from accel.numerics.elementwise import dequantize, quantize
from accel.quantizer.encode import encode
from accel.quantizer.options import QuantizeOptions
from accel.quantizer.statistics import Statistics

BITS = st.integers(2, 16)
SEEDS = st.integers(0, 2**32 - 1)
FINE = 4096
"""Bins of a histogram on each side of zero."""


def tensors(seed: int, kind: str) -> list[np.ndarray]:
    """Three images: ``both`` signs, or as behind a Relu."""
    rng = np.random.default_rng(seed)
    made = [rng.normal(0.3, 10 ** rng.uniform(-4, 4), (1, 3, 40)).astype(np.float32) for _ in range(3)]
    return [np.maximum(tensor, 0) for tensor in made] if kind == "relu" else made


def seen(images: list[np.ndarray]) -> Statistics:
    statistics = Statistics()
    for image in images:
        statistics.add(image)
    return statistics


def test_all_that_was_seen_asymmetric() -> None:
    """low -1, high 4 in 4 bits: 15 steps of a third, zero at the third of them."""
    encoding = encode(
        seen([np.array([[-1.0, 4.0]], np.float32)]), 4, QuantizeOptions(bounds="max_abs", ranges="asymmetric"), "x"
    )
    assert (str(encoding.qtype), encoding.scale, encoding.zero_point) == ("uint4", float(np.float32(5 / 15)), 3)


@given(SEEDS, BITS, st.sampled_from(["both", "relu"]), st.sampled_from(["asymmetric", "symmetric", "unsigned"]))
def test_all_that_was_seen_stays_within_half_a_step(seed, bits, kind, ranges) -> None:
    """Where nothing is clipped, only rounding is left; a zero point that is rounded too may take another half."""
    images = tensors(seed, kind)
    flat = np.concatenate(images, axis=None)
    encoding = encode(seen(images), bits, QuantizeOptions(bounds="max_abs", ranges=ranges), "x")
    signed = ranges == "symmetric" or (ranges == "unsigned" and flat.min() < 0)
    assert (encoding.qtype.bits, encoding.qtype.signed) == (bits, signed)
    low, high = min(flat.min(), 0), max(flat.max(), 0)
    top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    wanted = (float(high) - float(low)) / top if ranges == "asymmetric" else max(-float(low), float(high)) / top
    assert encoding.scale == np.float32(wanted)
    assert encoding.zero_point == (round(-float(low) / encoding.scale) if ranges == "asymmetric" else 0)
    error = np.abs(dequantize(quantize(flat, encoding), encoding).astype(np.float64) - flat)
    # Scale, quotient and product are float32: of 2^bits steps, each rounds by 2^(bits - 24) of a step.
    steps = (1.0 if ranges == "asymmetric" and low < 0 else 0.5) + 3 * 2.0 ** (bits - 24)
    assert error.max() <= encoding.scale * steps
    assert dequantize(quantize(np.zeros(1, np.float32), encoding), encoding)[0] == 0


@given(SEEDS, st.sampled_from(["both", "relu"]))
def test_aqt(seed, kind) -> None:
    """google-research aqt: bound = mean of the images' extremes; s = (2^(b-1) - 1) / bound, or 2^b / bound unsigned."""
    images = tensors(seed, kind)
    bound = max(abs(np.mean([image.min() for image in images])), abs(np.mean([image.max() for image in images])))
    encoding = encode(seen(images), 4, QuantizeOptions(bounds="aqt"), "x")
    assert encoding.qtype.signed == (kind == "both" and min(image.min() for image in images) < 0)
    steps = 7 if encoding.qtype.signed else 16
    assert encoding.scale == pytest.approx(float(bound) / steps, rel=1e-6)
    assert encoding.zero_point == 0


@given(SEEDS, st.sampled_from([50.0, 90.0, 99.0, 100.0]), st.sampled_from(["both", "relu"]))
def test_percentile_of_magnitudes(seed, percentile, kind) -> None:
    """numpy's percentile, to a bin of the histogram."""
    images = tensors(seed, kind)
    flat = np.concatenate(images, axis=None)
    bound = float(np.percentile(np.abs(flat), percentile, method="inverted_cdf"))
    assume(bound > 0)
    statistics = seen(images)
    options = QuantizeOptions(bounds="percentile", percentile=percentile, ranges="symmetric")
    assert encode(statistics, 8, options, "x").scale * 127 == pytest.approx(bound, abs=statistics.bin_width * 1.01)


@given(SEEDS, st.sampled_from([80.0, 99.0]))
def test_percentile_on_both_sides(seed, percentile) -> None:
    images = tensors(seed, "both")
    flat = np.concatenate(images, axis=None)
    beyond = int(flat.size * (100 - percentile) / 200 + 1e-6)
    low, high = np.sort(flat)[[beyond, -beyond - 1]].tolist()
    assume(low < 0 < high)
    statistics = seen(images)
    encoding = encode(statistics, 8, QuantizeOptions(bounds="percentile", percentile=percentile), "x")
    assert encoding.scale * 255 == pytest.approx(high - low, abs=2.1 * statistics.bin_width)


def squared_error(flat: np.ndarray, low: float, high: float, bits: int) -> float:
    scale = (high - low) / (2**bits - 1)
    zero = np.rint(-low / scale)
    steps = np.clip(np.rint(flat / scale) + zero, 0, 2**bits - 1)
    return float((((steps - zero) * scale - flat) ** 2).sum())


@given(SEEDS, st.integers(2, 5), st.sampled_from(["both", "relu"]))
def test_least_squares_beats_every_other_candidate(seed, bits, kind) -> None:
    """Tried on the values themselves; the histogram's bins are 4096ths of the range and hide what is finer."""
    images = tensors(seed, kind)
    flat = np.concatenate(images, axis=None).astype(np.float64)
    low, high = min(flat.min(), 0), max(flat.max(), 0)
    assume(high > 0)
    encoding = encode(seen(images), bits, QuantizeOptions(bounds="mse"), "x")
    reals = dequantize(quantize(flat.astype(np.float32), encoding), encoding)
    error = float(((reals - flat) ** 2).sum())
    grid = [(a, b) for a in np.linspace(0.1, 1, 10) for b in np.linspace(0.1, 1, 10)]
    best = min(squared_error(flat, low * a, high * b, bits) for a, b in grid)
    step = (high - low) / (2**bits - 1)
    assert error <= best * 1.02 + flat.size * (high - low) / FINE * step


def test_least_squares_clips_an_outlier_and_max_abs_does_not() -> None:
    """A thousand values within 1 and one of 10: at 4 bits, steps of 1/7 are worth one large error."""
    values = np.append(np.linspace(-1, 1, 10000), 10).astype(np.float32)[None, None]
    for bounds, clips in (("mse", True), ("max_abs", False)):
        encoding = encode(seen([values]), 4, QuantizeOptions(bounds=bounds, ranges="symmetric"), "x")
        assert (encoding.scale * 7 < 9) == clips


@given(SEEDS, BITS, st.sampled_from(["power_of_two", "shift_rne"]))
def test_powers_of_two(seed, bits, scales) -> None:
    images = tensors(seed, "both")
    plain = encode(seen(images), bits, QuantizeOptions(bounds="max_abs", ranges="symmetric"), "x").scale
    options = QuantizeOptions(bounds="max_abs", ranges="symmetric", scales=scales)
    scale = encode(seen(images), bits, options, "x").scale
    assert log2(scale).is_integer()
    assert plain <= scale < 2 * plain


def test_a_tensor_of_zeros_has_scale_one() -> None:
    encoding = encode(seen([np.zeros((1, 2, 3), np.float32)]), 8, QuantizeOptions(), "x")
    assert (encoding.scale, encoding.zero_point) == (1.0, 0)


@pytest.mark.parametrize("value", [1e-40, 3e-44])
def test_a_scale_that_is_no_normal_number_is_refused(value) -> None:
    with pytest.raises(AccelError, match=r"^net:x: its calibrated values lead to .*, which is no normal float32"):
        encode(seen([np.full((1, 1, 1), value, np.float32)]), 8, QuantizeOptions(), "net:x")


def test_one_bit_is_zero_and_a_step() -> None:
    positive = np.linspace(0, 1, 50, dtype=np.float32)[None]
    for ranges in ("asymmetric", "symmetric", "unsigned"):
        encoding = encode(seen([positive]), 1, QuantizeOptions(bounds="max_abs", ranges=ranges), "x")
        assert (str(encoding.qtype), encoding.scale, encoding.zero_point) == ("uint1", 1.0, 0)
    with pytest.raises(AccelError, match="one bit and zero point 0 do not hold values of both signs"):
        encode(seen([positive - 0.5]), 1, QuantizeOptions(ranges="symmetric"), "x")
