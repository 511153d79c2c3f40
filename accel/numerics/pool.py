"""Pooling over windows of NCHW images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

import numpy as np
import numpy.typing as npt

from accel.numerics.elementwise import dequantize, sign
from accel.numerics.encoding import Encoding, FloatArray, IntArray
from accel.numerics.mac import Int64Array
from accel.numerics.requantize.unit import Requantizer

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""top, left, bottom, right."""


class Mean(Enum):
    """How a window becomes the mean's integer; onnxruntime has three ways.

    s is the exact sum of ``q - zero_point``, n the number of elements, sx and sy the scales, z the output's zero
    point; every step is rounded to float32.
    """

    SCALED = "scaled"
    """``RNE(clamp(s * (sx / (sy * n)))) + z``: QLinearGlobalAveragePool."""
    OF_REALS = "of_reals"
    """``clamp(RNE(r / n / sy + z))``, r the float32 sum of the dequantized elements, rows first: QLinearAveragePool.

    Its rounding errors decide ties, which are common where both scales are the same.
    """
    UNROUNDED = "unrounded"
    """``RNE(clamp(s * sx / n / sy)) + z``: a float mean between DequantizeLinear and QuantizeLinear, but for the
    rounding errors of the float sum, whose order onnxruntime does not fix."""


def output_size(size: int, kernel: int, stride: int, dilation: int, pads: int) -> int:
    """Number of windows along one axis; ``pads`` is the sum of both sides'."""
    return (size + pads - dilation * (kernel - 1) - 1) // stride + 1


def max_pool(
    x: IntArray, kernel: Pair, strides: Pair = (1, 1), dilations: Pair = (1, 1), pads: Pads = (0, 0, 0, 0)
) -> IntArray:
    """Maximum over each window; padding never wins."""
    padded = pad(x, pads, np.iinfo(x.dtype).min)
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
    unit: Requantizer | None = None,
) -> IntArray:
    """Mean over each window, at the output's scale.

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
    unit
        A requantizer that scales exact sums by ``mean_scale`` instead, a word for each number of elements.
    """
    count = window_counts(x.shape[2:], kernel, strides, pads, count_include_pad)
    low, high = (to.qtype.min, to.qtype.max) if clamp is None else clamp
    if unit is not None:
        return _scale_by(unit, _exact_sums(x, by, kernel, strides, pads), count, by, to, (low, high))
    if mean is Mean.OF_REALS:
        steps = _sum_windows(dequantize(pad(x, pads, by.zero_point), by), kernel, strides)
        steps /= count.astype(np.float32)
        steps /= np.float32(to.scale)
        steps += np.float32(to.zero_point + to.file_offset)
        np.rint(steps, out=steps)
        steps -= np.float32(to.file_offset)
        np.clip(steps, np.float32(low), np.float32(high), out=steps)
        return steps.astype(to.qtype.dtype)
    sums = _exact_sums(x, by, kernel, strides, pads).astype(np.float32)
    steps = _scale_sums(sums, count.astype(np.float32), by, to, mean)
    if to.qtype.bipolar:
        return np.clip(sign(steps), np.int8(low), np.int8(high))
    np.clip(steps, np.float32(low - to.zero_point), np.float32(high - to.zero_point), out=steps)
    np.rint(steps, out=steps)
    steps += np.float32(to.zero_point)
    return steps.astype(to.qtype.dtype)


def average_reals(
    x: IntArray,
    by: Encoding,
    kernel: Pair,
    strides: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    count_include_pad: bool = False,
) -> FloatArray:
    """Mean over each window as float32, where it leaves the network so: ``s * sx / n``, parameters as above."""
    means = _exact_sums(x, by, kernel, strides, pads).astype(np.float32)
    means *= np.float32(by.scale)
    means /= window_counts(x.shape[2:], kernel, strides, pads, count_include_pad).astype(np.float32)
    return means


def mean_scale(by: Encoding, to: Encoding, count: npt.ArrayLike) -> FloatArray:
    """What a sum of ``count`` elements is multiplied with to be their mean: ``sx / (sy * n)`` in float32."""
    return np.asarray(np.float32(by.scale) / (np.float32(to.scale) * np.asarray(count, np.float32)), np.float32)


def window_counts(size: Sequence[int], kernel: Pair, strides: Pair, pads: Pads, include_pad: bool) -> Int64Array:
    """How many elements each window on an image of ``size`` (height, width) counts."""
    rows = _covered(size[0], kernel[0], strides[0], pads[0], pads[2], include_pad)
    columns = _covered(size[1], kernel[1], strides[1], pads[1], pads[3], include_pad)
    return np.outer(rows, columns)


def _scale_by(
    unit: Requantizer, sums: Int64Array, count: Int64Array, by: Encoding, to: Encoding, bounds: tuple[int, int]
) -> IntArray:
    """Exact sums through a requantizer; each number of elements has its own word."""
    if to.qtype.bipolar:
        return np.clip(sign(sums), *bounds)
    numbers, index = np.unique(count, return_inverse=True)
    words = np.array([unit.encode(mean_scale(by, to, number)) for number in numbers])[index.ravel()]
    rows = sums.reshape(*sums.shape[:2], -1)
    return unit.apply(rows, words, to.zero_point, to.qtype, bounds).reshape(sums.shape)


def _exact_sums(x: IntArray, by: Encoding, kernel: Pair, strides: Pair, pads: Pads) -> Int64Array:
    """The sum of ``q - zero_point`` over each window."""
    sums = _sum_windows(pad(x, pads, by.zero_point).astype(np.int64), kernel, strides)
    sums -= by.zero_point * kernel[0] * kernel[1]
    return sums


def _scale_sums(sums: FloatArray, count: FloatArray, by: Encoding, to: Encoding, mean: Mean) -> FloatArray:
    """Exact sums as multiples of the output's scale."""
    if mean is Mean.SCALED:
        sums *= mean_scale(by, to, count)
        return sums
    sums *= np.float32(by.scale)
    sums /= count
    sums /= np.float32(to.scale)
    return sums


def _sum_windows(x: IntArray, kernel: Pair, strides: Pair) -> IntArray:
    """Add up each window, rows first, in the type of ``x``."""
    taps = _taps(x, kernel, strides, (1, 1))
    sums = next(taps).copy()
    for tap in taps:
        sums += tap
    return sums


def _covered(size: int, kernel: int, stride: int, before: int, after: int, include_pad: bool) -> Int64Array:
    """How many elements each window along one axis counts."""
    windows = output_size(size, kernel, stride, 1, before + after)
    if include_pad:
        return np.full(windows, kernel, np.int64)
    starts = np.arange(windows) * stride - before
    return np.minimum(starts + kernel, size) - np.maximum(starts, 0)


def pad(x: IntArray, pads: Pads, value: int) -> IntArray:
    """Images with a border of ``value``."""
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
