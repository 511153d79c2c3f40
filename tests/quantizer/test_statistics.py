"""Histograms that grow: the order and the division of images change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accel.quantizer.statistics import Statistics

BINS = 4096
"""On each side of zero: the resolution that a percentile has."""
VALUES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
    elements=st.one_of(st.just(np.float32(0)), *(st.floats(-(2.0**e), 2.0**e, width=32) for e in (-10, 20))),
)


def seen(*tensors: np.ndarray) -> Statistics:
    statistics = Statistics()
    for tensor in tensors:
        statistics.add(tensor)
    return statistics


@given(st.lists(VALUES, min_size=1, max_size=4), st.randoms())
def test_the_order_of_images_changes_no_bin(tensors, random) -> None:
    tensors = [tensor[:, :1] for tensor in tensors]
    forward, shuffled = seen(*tensors), seen(*random.sample(tensors, len(tensors)))
    for one, other in zip(forward.histogram(), shuffled.histogram(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (forward.low, forward.high, forward.count) == (shuffled.low, shuffled.high, shuffled.count)


@given(VALUES)
@example(np.array([[[4096.0, -1e-45]]], np.float32))
def test_each_value_is_in_the_bin_around_it(tensor) -> None:
    statistics = seen(tensor)
    centres, counts = statistics.histogram()
    flat = tensor[tensor != 0].astype(np.float64)
    assert counts.sum() == flat.size
    if not flat.size:
        assert statistics.bin_width == 0
        return
    largest = np.abs(flat).max()
    assert largest / BINS < statistics.bin_width <= 2 * largest / BINS
    held = [np.count_nonzero(np.floor(flat / statistics.bin_width) + 0.5 == c / statistics.bin_width) for c in centres]
    np.testing.assert_array_equal(counts, held)


@given(st.lists(VALUES.filter(lambda tensor: tensor.shape[1] == 2), min_size=1, max_size=3))
def test_extremes_and_means(tensors) -> None:
    statistics = seen(*tensors)
    everything = np.concatenate([tensor.transpose(1, 0, 2).reshape(2, -1) for tensor in tensors], axis=1)
    assert statistics.low == min(everything.min(), 0)
    assert statistics.high == max(everything.max(), 0)
    assert statistics.images == len(tensors)
    means = everything.mean(axis=1, dtype=np.float64)
    np.testing.assert_allclose(statistics.channel_means, means, rtol=1e-6, atol=1e-3)
    assert statistics.sum_of_highs == pytest.approx(sum(float(tensor.max()) for tensor in tensors))


def test_an_image_a_million_times_brighter_keeps_every_count() -> None:
    """More doublings than there are bins: what was seen before falls into the two bins next to zero."""
    dim = np.array([[-1e-3, 1e-3, 2e-3]], np.float32)
    statistics = seen(dim, 1e6 * dim)
    centres, counts = statistics.histogram()
    near = np.abs(centres) < statistics.bin_width
    assert counts[near].tolist() == [1, 2]
    assert counts.sum() == 6
