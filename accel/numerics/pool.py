"""Pooling over windows of NCHW images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum

import numpy as np

from accel.numerics.encoding import Encoding, FloatArray, IntArray
from accel.numerics.mac import Int64Array

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""top, left, bottom, right."""


class Mean(Enum):
    """How a window's exact sum of ``q - zero_point`` becomes the mean's integer; onnxruntime has three ways.

    s is the sum, n the number of elements, sx and sy the scales, z the output's zero point; every step is rounded
    to float32.
    """

    SCALED = "scaled"
    """``RNE(clamp(s * (sx / (sy * n)))) + z``: QLinearGlobalAveragePool."""
    SCALED_AND_SHIFTED = "scaled_and_shifted"
    """``clamp(RNE(s * (sx / (sy * n)) + z))``: QLinearAveragePool; ties fall the other way when z is odd."""
    REAL = "real"
    """``RNE(clamp(s * sx / n / sy)) + z``: a float mean between DequantizeLinear and QuantizeLinear."""


def output_size(size: int, kernel: int, stride: int, dilation: int, pads: int) -> int:
    """Number of windows along one axis; ``pads`` is the sum of both sides'."""
    return (size + pads - dilation * (kernel - 1) - 1) // stride + 1


def max_pool(
    x: IntArray, kernel: Pair, strides: Pair = (1, 1), dilations: Pair = (1, 1), pads: Pads = (0, 0, 0, 0)
) -> IntArray:
    """Maximum over each window; padding never wins."""
    padded = _pad(x, pads, np.iinfo(x.dtype).min)
    views = _taps(padded, kernel, strides, dilations)
    result = next(views).copy()
    for view in views:
        np.maximum(result, view, out=result)
    return result


def average_pool(
    x: IntArray,
    by: Encoding,
    to: Encoding,
    kernel: Pair,
    strides: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    count_include_pad: bool = False,
    clamp: tuple[int, int] | None = None,
    mean: Mean = Mean.SCALED,
) -> IntArray:
    """Mean over each window, from its exact sum, at the output's scale.

    Parameters
    ----------
    x
        (batch, channels, height, width).
    by, to
        What integers mean in ``x`` and in the output.
    count_include_pad
        Whether padding counts as elements (zeros) of the window.
    clamp
        Inclusive output bounds; None for the type's range.
    mean
        The formula.
    """
    padded = _pad(x, pads, by.zero_point)
    if kernel == padded.shape[2:]:
        sums = padded.sum(axis=(2, 3), dtype=np.int64, keepdims=True)
    else:
        sums = np.int64(0) + sum(view.astype(np.int64) for view in _taps(padded, kernel, strides, (1, 1)))
    sums = sums - np.int64(by.zero_point * kernel[0] * kernel[1])
    rows = _covered(x.shape[2], kernel[0], strides[0], pads[0], pads[2], count_include_pad)
    columns = _covered(x.shape[3], kernel[1], strides[1], pads[1], pads[3], count_include_pad)
    low, high = (to.qtype.min, to.qtype.max) if clamp is None else clamp
    return _MEANS[mean](sums, np.outer(rows, columns), by, to, low, high).astype(to.qtype.dtype)


def _scaled(sums: Int64Array, count: Int64Array, by: Encoding, to: Encoding, low: int, high: int) -> FloatArray:
    steps = sums.astype(np.float32) * _mean_multiplier(count, by, to)
    return _round_then_shift(steps, to, low, high)


def _scaled_and_shifted(
    sums: Int64Array, count: Int64Array, by: Encoding, to: Encoding, low: int, high: int
) -> FloatArray:
    steps = sums.astype(np.float32) * _mean_multiplier(count, by, to)
    steps += np.float32(to.zero_point)
    np.rint(steps, out=steps)
    np.clip(steps, np.float32(low), np.float32(high), out=steps)
    return steps


def _real(sums: Int64Array, count: Int64Array, by: Encoding, to: Encoding, low: int, high: int) -> FloatArray:
    steps = sums.astype(np.float32)
    steps *= np.float32(by.scale)
    steps /= count.astype(np.float32)
    steps /= np.float32(to.scale)
    return _round_then_shift(steps, to, low, high)


def _round_then_shift(steps: FloatArray, to: Encoding, low: int, high: int) -> FloatArray:
    np.clip(steps, np.float32(low - to.zero_point), np.float32(high - to.zero_point), out=steps)
    np.rint(steps, out=steps)
    steps += np.float32(to.zero_point)
    return steps


_MEANS: dict[Mean, Callable[..., FloatArray]] = {
    Mean.SCALED: _scaled,
    Mean.SCALED_AND_SHIFTED: _scaled_and_shifted,
    Mean.REAL: _real,
}


def _mean_multiplier(count: Int64Array, by: Encoding, to: Encoding) -> FloatArray:
    return np.asarray(np.float32(by.scale) / (np.float32(to.scale) * count.astype(np.float32)), np.float32)


def _covered(size: int, kernel: int, stride: int, before: int, after: int, include_pad: bool) -> Int64Array:
    """How many elements each window along one axis counts."""
    windows = output_size(size, kernel, stride, 1, before + after)
    if include_pad:
        return np.full(windows, kernel, np.int64)
    starts = np.arange(windows) * stride - before
    return np.minimum(starts + kernel, size) - np.maximum(starts, 0)


def _pad(x: IntArray, pads: Pads, value: int) -> IntArray:
    if not any(pads):
        return x
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _taps(x: IntArray, kernel: Pair, strides: Pair, dilations: Pair) -> Iterator[IntArray]:
    """One view for each position in the window: what that position sees in all windows."""
    height = output_size(x.shape[2], kernel[0], strides[0], dilations[0], 0)
    width = output_size(x.shape[3], kernel[1], strides[1], dilations[1], 0)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilations[0], column * dilations[1]
            yield x[
                :,
                :,
                top : top + (height - 1) * strides[0] + 1 : strides[0],
                left : left + (width - 1) * strides[1] + 1 : strides[1],
            ]
