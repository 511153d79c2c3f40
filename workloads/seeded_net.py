"""SeededNet: a FloatNet with random weights whose activations stay as large as a trained network's.

Weights drawn at random and left alone let activations explode or die within a few layers, and nothing that is
then said about scales, sparsity or accumulators holds for a real network. So each convolution gets the batch
norm that a trained one would have: mean and variance of its output are measured on a few seeded images
that flow through the network while it is written, and folded into weight and bias.

The images, the weights and the sums are multiples of powers of two that float64 adds without rounding, in
whatever order a BLAS library adds them, so a seed gives the same float network, byte for byte, on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from .float_net import FloatNet, Tail

Array = npt.NDArray[np.float64]

GRID = 2.0**-10
"""Calibration values are rounded to this: far finer than int8, coarse enough for exact sums."""
WEIGHT_STEPS = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of the network: its name, and what it holds for the calibration images."""

    name: str
    data: Array
    """(images, channels, height, width), or (images, features)."""

    @property
    def channels(self) -> int:
        """Length of the second axis."""
        return int(self.data.shape[1])


class SeededNet:
    """Writes a network and runs it on seeded images at the same time.

    Parameters
    ----------
    name
        Name of the network.
    size
        Height and width of the RGB input.
    seed
        Fixes every weight.
    calibration_images
        How many images flow along; their statistics become the batch norms.
    progress
        Called with one line for each stage that begins.
    """

    def __init__(
        self,
        name: str,
        size: int,
        seed: int,
        calibration_images: int,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.progress = progress
        self._net = FloatNet(name, (1, 3, size, size))
        self._rng = np.random.default_rng(seed)
        self.input = Value("input", natural_images(calibration_images, size, seed + 1).astype(np.float64))

    def conv(
        self,
        name: str,
        x: Value,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        gain: float = 1.0,
    ) -> Value:
        """Convolution (padding ``kernel // 2``) and batch norm; the output's deviation is about ``gain``."""
        fan_in = x.channels // groups * kernel * kernel
        weight = _bell(self._rng, (channels, x.channels // groups, kernel, kernel)) * _power_of_two(fan_in**-0.5)
        y = _on_grid(_convolve(x.data, weight, stride, kernel // 2, groups))
        mean = y.mean(axis=(0, 2, 3))
        deviation = np.sqrt((y * y).mean(axis=(0, 2, 3)) - mean * mean + GRID)
        scale = self._rng.integers(512, 1537, channels) / 1024 * gain / deviation
        offset = self._rng.integers(-512, 513, channels) / 1024 * gain - mean * scale
        folded = weight * scale[:, None, None, None]
        out = self._net.conv(name, x.name, folded, offset, stride=stride, pad=kernel // 2, groups=groups)
        return Value(out, _on_grid(y * scale[:, None, None] + offset[:, None, None]))

    def relu(self, name: str, x: Value) -> Value:
        """max(x, 0)."""
        return Value(self._net.relu(name, x.name), np.maximum(x.data, 0))

    def relu6(self, name: str, x: Value) -> Value:
        """x clipped to 0 .. 6."""
        return Value(self._net.relu6(name, x.name), np.clip(x.data, 0, 6))

    def add(self, name: str, a: Value, b: Value) -> Value:
        """Elementwise sum."""
        return Value(self._net.add(name, a.name, b.name), a.data + b.data)

    def concat(self, name: str, a: Value, b: Value) -> Value:
        """Two tensors side by side along the channels."""
        return Value(self._net.concat(name, a.name, b.name), np.concatenate([a.data, b.data], axis=1))

    def max_pool(self, name: str, x: Value, *, kernel: int, stride: int) -> Value:
        """Maximum over kernel x kernel windows, padding ``kernel // 2``."""
        pad = kernel // 2
        out = self._net.max_pool(name, x.name, kernel=kernel, stride=stride, pad=pad)
        padded = np.pad(x.data, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
        return Value(out, windows[:, :, ::stride, ::stride].max(axis=(4, 5)))

    def classify(self, x: Value, classes: int, tail: Tail) -> onnx.ModelProto:
        """Global average pooling, a fully connected layer, and the finished network."""
        mean = _on_grid(x.data.mean(axis=(2, 3)))
        size = math.sqrt(float((mean * mean).sum()) / len(mean))
        weight = _bell(self._rng, (classes, x.channels)) * _power_of_two(2 / size)
        bias = self._rng.integers(-128, 129, classes) / 1024
        flat = self._net.global_mean("pool", x.name, x.channels, tail)
        return self._net.model(self._net.linear("fc", flat, weight, bias), classes)


def natural_images(count: int, size: int, seed: int) -> npt.NDArray[np.float32]:
    """Random images whose spectrum falls off as a photograph's, (count, 3, size, size), about -2 .. 2.

    Noise of every octave from 2x2 cells up is added with equal strength, the colours mostly alike. Equal energy in
    each octave is an amplitude that falls as one over frequency, as in natural images (Field, JOSA A 4, 1987).
    """
    rng = np.random.default_rng(seed)
    images = np.zeros((count, 3, size, size))
    for octave in range(1, int(math.log2(size)) + 1):
        corners = 2**octave + 1
        grey = rng.integers(-256, 257, (count, 1, corners, corners))
        colour = rng.integers(-64, 65, (count, 3, corners, corners))
        images += _enlarged((grey + colour) / 256, size)
    return np.clip(_on_grid(images), -2.5, 2.5).astype(np.float32)


def _enlarged(grid: Array, size: int) -> Array:
    """Bilinear interpolation of a (..., n + 1, n + 1) grid of corner values to (..., size, size)."""
    n = grid.shape[-1] - 1
    at = np.floor((np.arange(size) + 0.5) * n / size * 16) / 16
    low = np.minimum(at.astype(int), n - 1)
    part = at - low
    rows: Array = grid[..., low, :] * (1 - part)[:, None] + grid[..., low + 1, :] * part[:, None]
    cells: Array = rows[..., low] * (1 - part) + rows[..., low + 1] * part
    return cells


def _bell(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Nearly normal numbers of unit variance (the sum of three uniform ones), multiples of 1 / WEIGHT_STEPS."""
    total = sum(rng.integers(-WEIGHT_STEPS, WEIGHT_STEPS + 1, shape, dtype=np.int16) for _ in range(3))
    return np.asarray(total, np.float64) / WEIGHT_STEPS


def _convolve(x: Array, weight: Array, stride: int, pad: int, groups: int) -> Array:
    """Plain convolution, one matrix product for each kernel position."""
    images, _, height, width = x.shape
    out_channels, depth, kernel, _ = weight.shape
    rows, columns = (height + 2 * pad - kernel) // stride + 1, (width + 2 * pad - kernel) // stride + 1
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    by_group = weight.reshape(groups, out_channels // groups, depth, kernel, kernel)
    y = np.zeros((images, groups, out_channels // groups, rows * columns))
    for i in range(kernel):
        for j in range(kernel):
            seen = padded[:, :, i : i + rows * stride : stride, j : j + columns * stride : stride]
            y += by_group[..., i, j] @ seen.reshape(images, groups, depth, rows * columns)
    return y.reshape(images, out_channels, rows, columns)


def _on_grid(values: Array) -> Array:
    return np.rint(values / GRID) * GRID


def _power_of_two(value: float) -> float:
    return 2.0 ** round(math.log2(value))
