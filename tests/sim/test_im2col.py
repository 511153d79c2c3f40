"""The address generator against the definition of a convolution's window."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.sim.array import LineLayout
from accel.sim.im2col import Window, image_lines, image_matrix

Array = npt.NDArray[Any]


def by_definition(image: Array, window: Window, k: tuple[int, int]) -> Array:
    """One element at a time."""
    batch, channels, rows, columns = image.shape
    reduction = list(product(range(window.kernel[0]), range(window.kernel[1]), range(channels)))[k[0] : k[1]]
    pixels = list(product(range(batch), range(window.outputs[0]), range(window.outputs[1])))
    matrix = np.empty((len(reduction), len(pixels)), image.dtype)
    for (i, (kh, kw, c)), (j, (b, oh, ow)) in product(enumerate(reduction), enumerate(pixels)):
        row = window.corner[0] + oh * window.strides[0] + kh * window.dilations[0]
        column = window.corner[1] + ow * window.strides[1] + kw * window.dilations[1]
        inside = 0 <= row < rows and 0 <= column < columns
        matrix[i, j] = image[b, c, row, column] if inside else window.padding
    return matrix


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    return Window(
        kernel=draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        strides=draw(pairs),
        dilations=draw(pairs),
        corner=draw(st.tuples(st.integers(-12, 3), st.integers(-12, 3))),
        outputs=draw(st.tuples(st.integers(1, 6), st.integers(1, 6))),
        padding=draw(st.integers(0, 100)),
    )


@settings(max_examples=150, deadline=None)
@given(
    window=windows(),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    array=st.tuples(st.integers(1, 7), st.integers(0, 5), st.integers(1, 3), st.sampled_from([1, 1, 1, 2, 3])),
    dtype=st.sampled_from(["int8", "uint8"]),
)
def test_windows(
    window: Window,
    shape: tuple[int, int, int, int],
    ends: tuple[float, float],
    array: tuple[int, int, int, int],
    dtype: str,
) -> None:
    batch, channels, rows, columns = shape
    # A slice of a larger image, as a tile of some channels is.
    image = np.arange(batch * (channels + 2) * rows * columns).reshape(batch, channels + 2, rows, columns)
    image = image.astype(dtype)[:, 1:-1]
    depth = channels * window.kernel[0] * window.kernel[1]
    low, high = sorted(round(end * (depth - 1)) for end in ends)
    k = (low, high + 1)
    expected = by_definition(image, window, k)
    matrix = image_matrix(image, window, k)
    assert matrix.dtype == image.dtype
    assert np.array_equal(matrix, expected)

    array_rows, bubbles, row_step, column_step = array
    for dataflow, operand in (("weight_stationary", expected), ("output_stationary", expected.T)):
        lines, stream = operand.shape
        layout = LineLayout(lines, stream, array_rows, stream + bubbles, row_step, column_step)
        assert np.array_equal(image_lines(image, window, k, layout, dataflow), layout.fill(operand))


def test_pointwise_by_hand() -> None:
    """A 1x1 window with stride 2 over two channels: every other pixel of each."""
    image = np.arange(2 * 3 * 3, dtype=np.int8).reshape(1, 2, 3, 3)
    window = Window((1, 1), (2, 2), (1, 1), (0, 0), (2, 2), 0)
    assert image_matrix(image, window, (0, 2)).tolist() == [[0, 2, 6, 8], [9, 11, 15, 17]]


def test_padding_is_the_zero_point() -> None:
    image = np.full((1, 1, 1, 1), 7, np.uint8)
    window = Window((3, 3), (1, 1), (1, 1), (-1, -1), (1, 1), padding=128)
    assert image_matrix(image, window, (0, 9))[:, 0].tolist() == [128] * 4 + [7] + [128] * 4


@pytest.mark.parametrize("corner", [(-9, 0), (9, 0), (0, -9), (0, 9)])
def test_a_window_wholly_outside_reads_only_padding(corner: tuple[int, int]) -> None:
    window = Window((2, 2), (1, 1), (1, 1), corner, (2, 2), padding=5)
    assert np.all(image_matrix(np.zeros((1, 1, 3, 3), np.int8), window, (0, 4)) == 5)
