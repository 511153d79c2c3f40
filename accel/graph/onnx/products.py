"""Shapes and operations that the integer and the float form of an ONNX operator share."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from accel.graph.ir import AveragePool, Conv, MaxPool, Weight
from accel.graph.onnx.source import SourceNode, Unsupported
from accel.graph.onnx.window import Window, read_window
from accel.numerics.pool import Mean

Shape = tuple[int, ...]


def convolution(
    node: SourceNode, shape: Shape, weight: Weight, bias: npt.NDArray[np.int64] | None
) -> tuple[Conv, Shape]:
    """The convolution and its output's shape."""
    if weight.values.ndim != 4:
        raise Unsupported(
            f"its weights have {weight.values.ndim} axes, and two-dimensional convolutions (4 axes) are supported"
        )
    groups = node.integer("group", 1)
    out_channels, depth, *kernel = weight.values.shape
    window = read_window(node, shape, (kernel[0], kernel[1]))
    if groups < 1 or shape[1] != depth * groups or out_channels % groups:
        raise Unsupported(
            f"its input has {shape[1]} channels, and its weights {list(weight.values.shape)} "
            f"in {groups} groups take {depth * groups}"
        )
    op = Conv(weight, bias, window.strides, window.dilations, window.pads, groups)
    return op, (shape[0], out_channels, *window.out)


def max_pooling(node: SourceNode, shape: Shape) -> tuple[MaxPool, Shape]:
    """A maximum over windows and its output's shape."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Unsupported("its indices output is used")
    window = read_window(node, shape)
    return MaxPool(window.kernel, window.strides, window.dilations, window.pads), (*shape[:2], *window.out)


def average_pooling(node: SourceNode, shape: Shape, mean: Mean) -> tuple[AveragePool, Shape]:
    """A mean over windows and its output's shape."""
    window = read_window(node, shape)
    if window.dilations != (1, 1):
        raise Unsupported(f"its dilations are {list(window.dilations)}, and 1 is supported")
    include_pad = bool(node.integer("count_include_pad", 0))
    if include_pad and window.overhang:
        raise Unsupported(
            "its ceil_mode adds windows that reach beyond the image, and with count_include_pad onnxruntime's own "
            "kernels disagree about what those count",
            "export the pool with count_include_pad=0 or with an image size that its stride divides",
        )
    if not include_pad and not all(_covers_something(window, axis, shape[2 + axis]) for axis in range(2)):
        raise Unsupported(f"its pads {list(window.pads)} make windows that hold no element to take the mean of")
    op = AveragePool(window.kernel, window.strides, window.pads, include_pad, mean=mean)
    return op, (*shape[:2], *window.out)


def _covers_something(window: Window, axis: int, size: int) -> bool:
    """Whether each window along an axis reaches into the image."""
    before = window.pads[axis]
    last = (window.out[axis] - 1) * window.strides[axis] - before
    return window.kernel[axis] > before and last < size


def global_window(shape: Shape, mean: Mean) -> tuple[AveragePool, Shape]:
    """A mean over the whole image and its output's shape."""
    if len(shape) != 4:
        raise Unsupported(f"its input has {len(shape)} axes, and images (NCHW) are supported")
    return AveragePool((shape[2], shape[3]), mean=mean), (*shape[:2], 1, 1)


def joined_shape(node: SourceNode, shapes: Sequence[Shape]) -> tuple[int, Shape]:
    """The axis of a concatenation, not negative, and the result's shape."""
    if len({len(shape) for shape in shapes}) != 1:
        raise Unsupported(f"it joins {', '.join(str(list(shape)) for shape in shapes)}")
    axis = axis_within(node.integer("axis", 1), len(shapes[0]))
    rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(rest) > 1:
        raise Unsupported(f"it joins {', '.join(str(list(shape)) for shape in shapes)} along axis {axis}")
    joined = list(shapes[0])
    joined[axis] = sum(shape[axis] for shape in shapes)
    return axis, tuple(joined)


def axis_within(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    if not -rank <= axis < rank:
        raise Unsupported(f"its axis {axis} is not one of {rank}")
    return axis % rank


def reshaped(shape: Shape, wanted: Sequence[int], zero_copies: bool) -> Shape:
    """ONNX Reshape's output shape: -1 is what remains, 0 copies (where ``zero_copies``)."""
    sizes = [
        shape[axis] if size == 0 and zero_copies and axis < len(shape) else int(size)
        for axis, size in enumerate(wanted)
    ]
    if sizes.count(-1) == 1:
        known = prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = prod(shape) // known if known else 0
    if prod(sizes) != prod(shape) or min(sizes, default=1) < 1:
        raise Unsupported(f"it reshapes {list(shape)} to {[int(size) for size in wanted]}")
    return tuple(sizes)
